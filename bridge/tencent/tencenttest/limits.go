package tencenttest

import (
	"errors"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"github.com/timbridge/timbridge/receipts"
)

// window knows when something was last done, to count it over any second.
type window struct{ times []time.Time }

// allow tells whether it may be done once more, and counts it if so. What was refused is not counted.
// A negative limit is none.
func (w *window) allow(now time.Time, perSecond int) bool {
	if perSecond < 0 {
		return true
	}
	old := 0
	for old < len(w.times) && now.Sub(w.times[old]) >= time.Second {
		old++
	}
	w.times = w.times[old:]
	if len(w.times) >= perSecond {
		return false
	}
	w.times = append(w.times, now)
	return true
}

// allow counts a call of a command.
func (s *Server) allow(name string, perSecond int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.usage[name]
	if !ok {
		w = &window{}
		s.usage[name] = w
	}
	return w.allow(s.now(), perSecond)
}

// After so many bad signatures of an identifier within a minute all are refused for a minute (70050).
// Tencent gives the minute, not the number.
const (
	sigFailuresMax = 10
	sigBlocked     = time.Minute
)

type sigFailures struct {
	count int
	since time.Time
}

// checkUserSig checks who is calling.
func (s *Server) checkUserSig(identifier, sig string) *receipts.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.sigFails[identifier]
	if f != nil && s.now().Sub(f.since) >= sigBlocked {
		delete(s.sigFails, identifier)
		f = nil
	}
	if f != nil && f.count >= sigFailuresMax {
		return refuse(receipts.CodeUserSigBlocked, "too many bad signatures, wait a minute")
	}
	refused := s.verify(identifier, sig)
	if refused != nil {
		if f == nil {
			f = &sigFailures{}
			s.sigFails[identifier] = f
		}
		f.count++
		f.since = s.now()
	}
	return refused
}

func (s *Server) verify(identifier, sig string) *receipts.Error {
	if sig == "" {
		return refuse(receipts.CodeUserSigEmpty, "no usersig")
	}
	if len(sig) > 4096 { // room for a userbuf; bounds what is decompressed
		return refuse(receipts.CodeUserSigIllegal, "usersig of %d characters", len(sig))
	}
	err := tencentyun.VerifyUserSig(s.opts.SDKAppID, s.opts.SecretKey, identifier, sig, s.now())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tencentyun.ErrSdkAppIDNotMatch):
		return refuse(receipts.CodeUserSigWrongApp, "usersig of another app")
	case errors.Is(err, tencentyun.ErrIdentifierNotMatch):
		return refuse(receipts.CodeUserSigWrongUser, "usersig of another identifier")
	case errors.Is(err, tencentyun.ErrExpired):
		return refuse(receipts.CodeUserSigExpired, "usersig expired")
	case errors.Is(err, tencentyun.ErrSigNotMatch):
		return refuse(receipts.CodeUserSigWrongKey, "usersig of another key")
	default:
		return refuse(receipts.CodeUserSigIllegal, "unreadable usersig")
	}
}
