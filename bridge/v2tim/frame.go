package v2tim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/receipts"
)

// frame is the form of answers: the SDK's for v2tim, the server API's for the rest.
type frame uint8

const (
	frameServer frame = iota // {"ActionStatus","ErrorInfo","ErrorCode",…}
	frameSDK                 // {"code","desc"[,"data"]}
)

// maxDrain is how much of a body nobody wants is still taken in (and thrown away)
// before the connection is given up: a client that is busy sending may otherwise
// see a reset instead of its answer.
const maxDrain = 16 << 20

// maxDrains bounds how many clients are given that at a time; it is a courtesy, and
// a flood shall not live on it.
const maxDrains = 64

// refuse makes an error that is answered with its code and text.
func refuse(code receipts.Code, desc string) error {
	return &receipts.Error{Code: code, Desc: desc}
}

// answer writes the one answer of a request: result where err is nil, else the
// code of err. Only a [*receipts.Error] shows its text.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, f frame, result any, err error) {
	switch codeOf(err) {
	case receipts.CodeRequestTimeout:
	case receipts.CodeUserSigBlocked:
		w.Header().Set("Connection", "close")
	default:
		s.drain(w, r)
	}
	body, err := encode(f, result, err)
	if err != nil {
		zerolog.Ctx(r.Context()).Error().Err(err).Msg("Failed to encode answer")
		body, _ = encode(f, nil, refuse(receipts.CodeGroupInternalError, "internal error"))
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff") // answers repeat what callers wrote
	if _, err = w.Write(body); err != nil {
		zerolog.Ctx(r.Context()).Debug().Err(err).Msg("Failed to write answer")
	}
}

// codeOf is the code of an error; 0 if it has none.
func codeOf(err error) receipts.Code {
	var coded *receipts.Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return receipts.CodeOK
}

// encode renders an answer in its frame.
func encode(f frame, result any, err error) ([]byte, error) {
	code, desc := receipts.Code(0), ""
	if err != nil {
		var coded *receipts.Error
		if !errors.As(err, &coded) {
			coded = &receipts.Error{Code: receipts.CodeGroupInternalError, Desc: "internal error"}
		}
		code, desc, result = coded.Code, coded.Desc, nil
	}
	if f == frameSDK {
		return json.Marshal(struct {
			Code receipts.Code `json:"code"`
			Desc string        `json:"desc"`
			Data any           `json:"data,omitempty"`
		}{code, desc, result})
	}
	status := "OK"
	if code != 0 {
		status = "FAIL"
	}
	head, err := json.Marshal(struct {
		ActionStatus string        `json:"ActionStatus"`
		ErrorInfo    string        `json:"ErrorInfo"`
		ErrorCode    receipts.Code `json:"ErrorCode"`
	}{status, desc, code})
	if err != nil || result == nil {
		return head, err
	}
	// The fields of the result stand beside those of the head in one object.
	fields, err := json.Marshal(result)
	if err != nil {
		return nil, err
	}
	if len(fields) > 2 { // not just {}
		head = append(append(head[:len(head)-1], ','), fields[1:]...)
	}
	return head, nil
}

// hide turns an error of Service or Admin into what the caller may see, and logs
// what he may not.
func hide(ctx context.Context, err error) error {
	var coded *receipts.Error
	switch {
	case err == nil || errors.As(err, &coded):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		zerolog.Ctx(ctx).Warn().Err(err).Msg("V2TIM call timed out")
		return refuse(receipts.CodeGroupInternalError, "timed out, try again")
	case errors.Is(err, context.Canceled):
		return refuse(receipts.CodeGroupInternalError, "canceled, try again")
	default:
		zerolog.Ctx(ctx).Error().Err(err).Msg("V2TIM call failed")
		return refuse(receipts.CodeGroupInternalError, "internal error, try again")
	}
}

// readBody returns the body, which must be within MaxBody and come within
// BodyTimeout: 60003 and 60008.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > s.cfg.MaxBody {
		return nil, errBodyTooLarge()
	}
	// Not every ResponseWriter knows deadlines (tests); the real one does.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout))
	body, err := io.ReadAll(io.LimitReader(r.Body, s.cfg.MaxBody+1))
	switch {
	case err != nil:
		return nil, refuse(receipts.CodeRequestTimeout, "the body did not arrive")
	case int64(len(body)) > s.cfg.MaxBody:
		return nil, errBodyTooLarge()
	}
	// Taken back, because net/http goes on reading to notice a client that leaves.
	// Not above: it also reads what is left of a body after the answer.
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}

func errBodyTooLarge() error { return refuse(receipts.CodeJSONParseFailed, "the body is too large") }

// drain takes in the rest of an unwanted body within its bounds. A client that
// asked first whether to send (Expect: 100-continue) is answered at once, and so is
// everybody while there are many: who is still sending then may see a reset.
func (s *Server) drain(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody || r.Header.Get("Expect") != "" {
		return
	}
	select {
	case s.drains <- struct{}{}:
		defer func() { <-s.drains }()
	default:
		w.Header().Set("Connection", "close")
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout))
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrain))
}
