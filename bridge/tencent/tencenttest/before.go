package tencenttest

import (
	"net/http"

	"github.com/timbridge/timbridge/receipts"
)

// askBefore asks the app about a message about to be sent, which may change it, drop it silently or
// refuse it. What fails or is late lets the message pass, unless the console says otherwise. [CB-BEFORE]
func (s *Server) askBefore(groupID string, d *draft) (drop bool, refused *receipts.Error) {
	s.mu.Lock()
	g, refused := s.liveGroup(groupID)
	if refused != nil || s.hooks.hook.URL == "" {
		s.mu.Unlock()
		return false, refused
	}
	hook, outage := s.hooks.hook, s.outage
	fields := s.messageFields(g, &d.message)
	s.mu.Unlock()
	fields["CallbackCommand"] = BeforeSendMsg
	w := Webhook{Command: BeforeSendMsg, GroupID: groupID, Platform: d.platform, ClientIP: "203.0.113.7", Body: mustJSON(fields)}
	failed := outage
	var answer beforeAnswer
	if !outage {
		delivery := Delivery{Webhook: w, Attempt: 1}
		var raw []byte
		delivery.Status, raw, delivery.Err = s.exchange(hook, w)
		if delivery.Err == nil && delivery.Status == http.StatusOK {
			answer, delivery.Err = parseBefore(raw)
		}
		delivery.ActionStatus = answer.ActionStatus
		failed = delivery.Err != nil || delivery.Status != http.StatusOK
		s.locked(func() { s.hooks.done = appendLog(s.hooks.done, delivery) })
	}
	if failed {
		if s.opts.BeforeSendDeny {
			return false, refuse(codeBeforeDenied, "before-callback failed")
		}
		return false, nil
	}
	switch code := answer.ErrorCode; {
	case code == 2:
		return true, nil
	case code == 1:
		return false, refuse(receipts.CodeGroupRejected, "refused by the before-callback")
	case code >= 10100 && code <= 10200:
		return false, refuse(receipts.Code(code), "%s", answer.ErrorInfo)
	}
	if answer.MsgBody != nil && checkBody(answer.MsgBody) == nil {
		d.body = answer.MsgBody
	}
	if answer.CloudCustomData != nil {
		d.cloud = *answer.CloudCustomData
	}
	return false, nil
}
