package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/bridge/webserver"
	"github.com/timbridge/timbridge/receipts"
)

// maxPassed bounds a call or a webhook in bytes, either way.
const maxPassed = 8 << 20

// simFront stands before the fake: calls of the server API and webhooks pass
// through it and are printed, and /sim takes lines.
type simFront struct {
	plan     simPlan
	printer  *simPrinter
	listener net.Listener
	url      string
	hook     *url.URL
	server   *tencenttest.Server
	api      *url.URL
	desk     *simDesk
	http     *http.Server
	client   *http.Client
	serving  sync.WaitGroup
}

// newSimFront starts the fake and serves it at the listener.
func newSimFront(listener net.Listener, plan simPlan, printer *simPrinter) (*simFront, error) {
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("failed to read the address of sim: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("failed to read the address of sim: %w", err)
	}
	var protect *tls.Config
	if plan.cert != "" {
		if protect, err = webserver.LocalTLS(plan.cert); err != nil {
			return nil, fmt.Errorf("tencent.webhook.tls: %w", err)
		}
	}
	f := &simFront{
		plan: plan, printer: printer, listener: listener, url: "http://" + localAddress(host, uint16(number)),
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, TLSClientConfig: protect},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	if f.hook, err = url.Parse(plan.webhook); err != nil || f.hook.Host == "" || (f.hook.Scheme != "http" && f.hook.Scheme != "https") {
		return nil, errors.New("the address of webhooks is not of the form http://host:port/path")
	}
	options := plan.options
	options.Hook.URL = f.url + simHookPath
	if f.server, err = tencenttest.New(options); err != nil {
		return nil, err
	}
	if f.api, err = url.Parse(f.server.URL()); err != nil {
		f.server.Close()
		return nil, fmt.Errorf("failed to read the address of sim: %w", err)
	}
	f.desk = newSimDesk(f.server)
	mux := http.NewServeMux()
	mux.HandleFunc("/", f.passCall)
	mux.HandleFunc(simHookPath, f.passWebhook)
	mux.HandleFunc("/sim", f.takeLines)
	f.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	f.serving.Go(func() { _ = f.http.Serve(listener) })
	return f, nil
}

// close ends everything. Who is being answered, as somebody who has posted
// "quit", has a moment.
func (f *simFront) close() {
	f.server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if f.http.Shutdown(ctx) != nil {
		_ = f.http.Close()
	}
	f.serving.Wait()
	f.client.CloseIdleConnections()
}

// takeLines does what the lines of the body say, up to the first that fails.
func (f *simFront) takeLines(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Header.Get("Origin") != "" { // a web page in somebody's browser
		http.Error(w, "no web page may do this", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "post lines, for instance: curl "+f.url+"/sim -d help", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLine))
	if err != nil {
		http.Error(w, "failed to read the lines: "+err.Error(), http.StatusBadRequest)
		return
	}
	var answers strings.Builder
	for line := range strings.Lines(string(body)) {
		answer, err := f.desk.do(line)
		answers.WriteString(answer)
		if err != nil {
			answers.WriteString(err.Error() + "\n")
			w.WriteHeader(http.StatusBadRequest)
			break
		}
	}
	_, _ = io.WriteString(w, answers.String())
}

// passCall hands a call of the server API to the fake.
func (f *simFront) passCall(w http.ResponseWriter, r *http.Request) {
	target := *f.api
	target.Path, target.RawPath, target.RawQuery = r.URL.Path, r.URL.RawPath, r.URL.RawQuery
	body, answer, _, err := f.pass(w, r, &target)
	outcome := "no answer"
	if err == nil {
		var head struct{ ErrorCode receipts.Code }
		if json.Unmarshal(answer, &head) == nil {
			outcome = outcomeOf(head.ErrorCode)
		}
	}
	f.printer.saw("call", path.Base(r.URL.Path), about(body), outcome)
}

func outcomeOf(code receipts.Code) string {
	if code == receipts.CodeOK {
		return "OK"
	}
	return code.String()
}

// passWebhook hands a webhook to the bridge.
func (f *simFront) passWebhook(w http.ResponseWriter, r *http.Request) {
	target := *f.hook
	target.RawQuery = strings.Trim(target.RawQuery+"&"+r.URL.RawQuery, "&")
	body, answer, status, err := f.pass(w, r, &target)
	var outcome string
	var head struct{ ActionStatus string }
	switch {
	case r.Context().Err() != nil:
		outcome = "not answered in time"
	case err != nil:
		outcome = "not delivered: " + err.Error()
	case json.Unmarshal(answer, &head) != nil || head.ActionStatus == "":
		outcome = fmt.Sprintf("answered with HTTP %d, which is not what a backend says", status)
	default:
		outcome = head.ActionStatus
	}
	command := r.URL.Query().Get("CallbackCommand")
	f.printer.saw("webhook", strings.TrimPrefix(command, "Group.Callback"), about(body), outcome)
}

// pass sends a request on to target and its answer back, and returns both bodies.
func (f *simFront) pass(w http.ResponseWriter, r *http.Request, target *url.URL) (body, answer []byte, status int, err error) {
	defer func() {
		var inURL *url.Error
		if errors.As(err, &inURL) {
			err = inURL.Err // without the query, which has signatures in it
		}
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	}()
	if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxPassed)); err != nil {
		return nil, nil, 0, err
	}
	req, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		return body, nil, 0, err
	}
	for _, name := range []string{"Content-Type", "Authorization", "User-Agent"} {
		if values := r.Header.Values(name); len(values) > 0 {
			req.Header[name] = values
		}
	}
	resp, err := f.client.Do(req) // #nosec G704 -- to where whoever runs sim said
	if err != nil {
		return body, nil, 0, err
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(resp.Body, maxPassed)); err != nil {
		return body, nil, 0, err
	}
	w.Header().Set("Content-Type", cmp.Or(resp.Header.Get("Content-Type"), "application/json"))
	w.WriteHeader(resp.StatusCode)
	_, err = w.Write(answer)
	return body, answer, resp.StatusCode, err
}

// about says in a few words what a call or webhook is about: group, person,
// numbers of messages; never the text of one.
func about(body []byte) string {
	type numbered struct{ MsgSeq uint64 }
	type member struct{ Member_Account string }
	var b struct {
		GroupId, From_Account, UserID, Type string
		GroupIdList                         []string
		MsgSeq, ReqMsgSeq                   uint64
		MsgSeqList                          []numbered
		GroupMsgReceiptList                 []struct {
			numbered
			ReadReceiptMembers []member
		}
		MemberList, NewMemberList, ExitMemberList []member
		MemberToDel_Account                       []string
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	seqs := make([]string, 0, 8)
	add := func(seq uint64) {
		if seq > 0 {
			seqs = append(seqs, strconv.FormatUint(seq, 10))
		}
	}
	add(b.MsgSeq)
	for _, item := range b.MsgSeqList {
		add(item.MsgSeq)
	}
	people := []string{b.From_Account, b.UserID}
	for _, item := range b.GroupMsgReceiptList {
		add(item.MsgSeq)
		for _, m := range item.ReadReceiptMembers {
			people = append(people, m.Member_Account)
		}
	}
	for _, list := range [][]member{b.MemberList, b.NewMemberList, b.ExitMemberList} {
		for _, m := range list {
			people = append(people, m.Member_Account)
		}
	}
	people = append(people, b.MemberToDel_Account...)
	parts := []string{few(append([]string{b.GroupId}, b.GroupIdList...), "groups"), few(people, "people")}
	if numbers := few(seqs, "messages"); numbers != "" {
		parts = append(parts, "no. "+numbers)
	}
	return joinParts(parts)
}

// few joins words, or counts them if they are many. Empty and repeated ones are left out.
func few(words []string, what string) string {
	seen := make(map[string]bool, len(words))
	var kept []string
	for _, word := range words {
		if word != "" && !seen[word] {
			seen[word] = true
			kept = append(kept, word)
		}
	}
	if len(kept) > 8 {
		return fmt.Sprintf("%d %s", len(kept), what)
	}
	return strings.Join(kept, " ")
}

func joinParts(parts []string) string {
	var kept []string
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ", ")
}
