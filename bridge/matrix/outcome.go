package matrix

import (
	"errors"
	"net/http"

	"maunium.net/go/mautrix/id"
)

// tell reports whether a request in the name of user shows the homeserver to be there. One that only reads proves nothing where it is
// answered: much can be read where nothing can be written. Neither does an answer that asks us to be slower, and what others' servers do.
func (a *AppService) tell(user id.UserID, method string, err error) {
	if user.Homeserver() != a.cfg.Domain {
		return
	}
	var temporary *TemporaryError
	var refused *RequestError
	answered := errors.As(err, &refused)
	switch {
	case answered && (refused.Status == http.StatusTooManyRequests || refused.Code == "M_LIMIT_EXCEEDED"):
	case errors.As(err, &temporary):
		a.outages.Add(1)
		a.cfg.Outcome(false)
	case (err == nil || answered) && method != http.MethodGet:
		a.cfg.Outcome(true)
	}
}
