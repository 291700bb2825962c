package tencent

import (
	"errors"
	"strings"
)

// tell reports whether a call shows Tencent to be there. One that only reads proves nothing where it is answered: other services of
// Tencent's take what is written. Neither does an answer that asks us to be slower.
func (c *Client) tell(name command, err error) {
	if c.cfg.Outcome == nil {
		return
	}
	var temporary *TemporaryError
	var refused *APIError
	reads := strings.Contains(string(name), "get") || name == cmdAccountCheck
	switch {
	case errors.Is(err, ErrFrequency):
	case errors.As(err, &temporary):
		c.cfg.Outcome(false)
	case (err == nil || errors.As(err, &refused)) && !reads:
		c.cfg.Outcome(true)
	}
}
