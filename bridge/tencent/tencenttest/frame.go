package tencenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// maxBody bounds a request.
const maxBody = 1 << 20

// reply is what a command answers beside ActionStatus, ErrorCode and ErrorInfo.
type reply map[string]any

// caller is what a command may know of the call.
type caller struct {
	identifier string
	http       *http.Request
}

// command is one command of the server API. run is called without the lock.
type command struct {
	perSecond func(Limits) int
	run       func(c caller, body []byte) (reply, *receipts.Error)
}

// locked makes a command of a function that runs under the lock. Its body must have exactly the fields
// of Req; wrong ones are refused with the given code.
func locked[Req any](s *Server, bad receipts.Code, perSecond func(Limits) int, run func(c caller, req Req) (reply, *receipts.Error)) command {
	return command{perSecond: perSecond, run: func(c caller, body []byte) (reply, *receipts.Error) {
		var req Req
		if err := decode(body, &req); err != nil {
			return nil, refuse(bad, "%v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		defer s.notify()
		return run(c, req)
	}}
}

func perCommand(l Limits) int { return l.Command }
func perAccount(l Limits) int { return l.Account }

func (s *Server) allCommands() map[string]command {
	group := receipts.CodeGroupInvalidParameters
	all := map[string]command{
		"group_open_http_svc/group_msg_receipt":            locked(s, group, perCommand, s.groupMsgReceipt),
		"group_open_http_svc/get_group_msg_receipt":        locked(s, group, perCommand, s.getGroupMsgReceipt),
		"group_open_http_svc/get_group_msg_receipt_detail": locked(s, group, perCommand, s.getGroupMsgReceiptDetail),
		"group_open_http_svc/send_group_msg":               {perSecond: perCommand, run: s.sendGroupMsg},
		"group_open_http_svc/group_msg_recall":             locked(s, group, perCommand, s.groupMsgRecall),
		"group_open_http_svc/group_msg_get_simple":         locked(s, group, perCommand, s.groupMsgGetSimple),
		"openim/modify_group_msg":                          locked(s, codeMessageParameters, perCommand, s.modifyGroupMsg),
		"group_open_http_svc/get_group_info":               locked(s, group, perCommand, s.getGroupInfo),
		"group_open_http_svc/get_group_member_info":        locked(s, group, perCommand, s.getGroupMemberInfo),
		"group_open_http_svc/get_appid_group_list":         locked(s, group, perCommand, s.getAppidGroupList),
		"group_open_http_svc/get_joined_group_list":        locked(s, group, perCommand, s.getJoinedGroupList),
		"group_open_http_svc/add_group_member":             locked(s, group, perCommand, s.addGroupMember),
		"group_open_http_svc/delete_group_member":          locked(s, group, perCommand, s.deleteGroupMember),
		"group_open_http_svc/create_group":                 locked(s, group, perCommand, s.createGroupCommand),
		"group_open_http_svc/import_group":                 locked(s, group, perCommand, s.importGroup),
		"group_open_http_svc/destroy_group":                locked(s, group, perCommand, s.destroyGroup),
		"group_open_http_svc/modify_group_base_info":       locked(s, group, perCommand, s.modifyGroupBaseInfo),
		"im_open_login_svc/account_import":                 locked(s, codeAccountParameters, perAccount, s.accountImport),
		"im_open_login_svc/multiaccount_import":            locked(s, codeAccountParameters, perAccount, s.multiaccountImport),
		"im_open_login_svc/account_check":                  locked(s, codeAccountParameters, perAccount, s.accountCheck),
		"profile/portrait_get":                             locked(s, codeProfileParameters, perCommand, s.portraitGet),
		"profile/portrait_set":                             locked(s, codeProfileParameters, perCommand, s.portraitSet),
	}
	if s.opts.NoAckCommand {
		delete(all, "group_open_http_svc/group_msg_receipt")
	}
	return all
}

// serveHTTP answers one request, after what has been told to fail.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	s.handlers.Add(1)
	outage, latency := s.outage, s.latency
	s.mu.Unlock()
	defer s.handlers.Done()
	if outage {
		panic(http.ErrAbortHandler) // net/http's way to cut the connection; it is not logged
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = errors.New("body too large")
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 8*maxBody)) // so that the answer is read
	}
	service, name, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v4/"), "/")
	if !found || !strings.HasPrefix(r.URL.Path, "/v4/") {
		service, name = "", r.URL.Path
	}
	made := Call{Service: service, Command: name, Identifier: r.URL.Query().Get("identifier"), Body: body, At: s.now()}
	fault := s.takeFault(name)
	if latency > 0 && !s.pause(r, latency) {
		panic(http.ErrAbortHandler)
	}
	var out []byte
	if fault == nil || fault.Acted {
		out, made.Code = s.answer(r, service, name, body, err)
	}
	if fault != nil {
		made.Failed = true
		out, made.Code, made.Status = fault.overrule(service, out, made.Code)
	} else {
		made.Status = http.StatusOK
	}
	s.locked(func() { s.calls = appendLog(s.calls, made) })
	s.write(w, r, fault, made.Status, out)
}

// answer is what Tencent would say. HTTP has nothing to do with it: the status is always 200.
func (s *Server) answer(r *http.Request, service, name string, body []byte, read error) ([]byte, receipts.Code) {
	rep, refused := s.call(r, service, name, body, read)
	if refused != nil {
		return failure(service, refused), refused.Code
	}
	if rep == nil {
		rep = reply{}
	}
	rep["ActionStatus"], rep["ErrorCode"], rep["ErrorInfo"] = "OK", 0, ""
	if service == "profile" {
		rep["ErrorDisplay"] = ""
	}
	return mustJSON(rep), receipts.CodeOK
}

func failure(service string, err *receipts.Error) []byte {
	rep := reply{"ActionStatus": "FAIL", "ErrorCode": int(err.Code), "ErrorInfo": err.Desc}
	if service == "profile" {
		rep["ErrorDisplay"] = ""
	}
	return mustJSON(rep)
}

// call checks the frame and runs the command.
func (s *Server) call(r *http.Request, service, name string, body []byte, read error) (reply, *receipts.Error) {
	if r.Method != http.MethodPost {
		return nil, refuse(receipts.CodeHTTPParseFailed, "method %s, want POST", r.Method)
	}
	if service == "" || name == "" {
		return nil, refuse(receipts.CodeBadResource, "no such path")
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	for region, names := range domains() {
		if region != s.opts.Region && slices.Contains(names, host) {
			return nil, refuse(codeWrongRegion, "app lives in %s, not in %s", s.opts.Region, region)
		}
	}
	c := caller{identifier: r.URL.Query().Get("identifier"), http: r}
	if refused := s.checkQuery(r); refused != nil {
		return nil, refused
	}
	if !slices.Contains(s.opts.Admins, c.identifier) {
		return nil, refuse(receipts.CodeNotAdmin, "identifier %q is not an administrator", c.identifier)
	}
	cmd, ok := s.commands[service+"/"+name]
	if !ok {
		if service == "group_open_http_svc" {
			return nil, refuse(receipts.CodeGroupAPINameError, "no command %q", name)
		}
		return nil, refuse(receipts.CodeBadResource, "no command %q of service %q", name, service)
	}
	if read != nil {
		return nil, refuse(receipts.CodeJSONParseFailed, "body too large or cut off")
	}
	if !s.allow(service+"/"+name, cmd.perSecond(s.opts.Limits)) {
		return nil, refuse(receipts.CodeCommandFrequencyLimit, "more than %d calls/s of %s", cmd.perSecond(s.opts.Limits), name)
	}
	if !json.Valid(body) || !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return nil, refuse(receipts.CodeJSONParseFailed, "body is not a JSON object")
	}
	return cmd.run(c, body)
}

// checkQuery checks the query in the order sdkappid, form, signature.
func (s *Server) checkQuery(r *http.Request) *receipts.Error {
	q := r.URL.Query()
	app := q.Get("sdkappid")
	if app == "" {
		return refuse(receipts.CodeSDKAppIDRequired, "no sdkappid")
	}
	if app != strconv.FormatUint(s.opts.SDKAppID, 10) {
		return refuse(receipts.CodeSDKAppIDInvalid, "no app %q", app)
	}
	if q.Get("contenttype") != "json" {
		return refuse(codeURLParameters, "contenttype %q, want json", q.Get("contenttype"))
	}
	if _, err := strconv.ParseUint(q.Get("random"), 10, 32); err != nil {
		return refuse(codeURLParameters, "random %q is no unsigned 32-bit number", q.Get("random"))
	}
	if q.Get("identifier") == "" {
		return refuse(receipts.CodeAccountCheckFailed, "no identifier")
	}
	return s.checkUserSig(q.Get("identifier"), q.Get("usersig"))
}

// write sends an answer, whole or as the fault wants it.
func (s *Server) write(w http.ResponseWriter, r *http.Request, fault *Fault, status int, out []byte) {
	if fault != nil && (fault.Hang || fault.Drop) {
		if fault.Hang {
			s.pause(r, 0)
		}
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.WriteHeader(status)
	if fault != nil && fault.Half {
		_, _ = w.Write(out[:len(out)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(out)
}

// pause waits (for ever if d is 0) and tells whether it was not cut short by client or server.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return true
	case <-r.Context().Done():
	case <-s.closing.Done():
	}
	return false
}
