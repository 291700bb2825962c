package matrixtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"
)

// syncFilter is what the server understands of a filter: which kinds are wanted at all.
type syncFilter struct {
	Room struct {
		Timeline  filterPart `json:"timeline"`
		State     filterPart `json:"state"`
		Ephemeral filterPart `json:"ephemeral"`
	} `json:"room"`
}

type filterPart struct {
	Types    *[]string `json:"types"`
	NotTypes []string  `json:"not_types"`
}

func (f filterPart) wants(typ string) bool {
	if slices.Contains(f.NotTypes, "*") || slices.Contains(f.NotTypes, typ) {
		return false
	}
	return f.Types == nil || slices.Contains(*f.Types, typ) || slices.Contains(*f.Types, "*")
}

// sync does what /sync does: it waits until there is something after since, or until timeout.
func (s *Server) sync(ctx context.Context, user id.UserID, since string, timeout time.Duration, filter syncFilter) (json.RawMessage, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		s.mu.Lock()
		from, err := s.parseToken(since)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		answer, any := s.collect(user, from, filter)
		changed := s.changed
		s.mu.Unlock()
		if any || since == "" || timeout == 0 {
			return answer, nil
		}
		select {
		case <-changed:
		case <-timer.C:
			timeout = 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Server) parseToken(since string) (int64, error) {
	if since == "" {
		return 0, nil
	}
	from, err := strconv.ParseInt(strings.TrimPrefix(since, "s"), 10, 64)
	if err != nil || !strings.HasPrefix(since, "s") || from < s.refuseBefore || from > s.stream {
		return 0, &matrixError{Status: 400, Code: "M_UNKNOWN", Message: "Invalid stream token"}
	}
	return from, nil
}

// collect builds the answer of /sync. The lock must be held.
func (s *Server) collect(user id.UserID, from int64, filter syncFilter) (answer json.RawMessage, any bool) {
	joined := make(map[id.RoomID]map[string]anyValue)
	for roomID, r := range s.rooms {
		if r.membership(user) != "join" {
			continue
		}
		after := from
		if r.members[user].since > from {
			after = 0 // newly joined: everything is new
		}
		section := make(map[string]anyValue)
		var timeline []json.RawMessage
		for _, ev := range r.timeline {
			if ev.stream > after && filter.Room.Timeline.wants(ev.typ) {
				timeline = append(timeline, ev.encode())
			}
		}
		if timeline != nil {
			section["timeline"] = map[string]anyValue{"events": timeline, "limited": false}
		}
		if fresh := r.receiptsFor(user, after); len(fresh) > 0 && filter.Room.Ephemeral.wants("m.receipt") {
			section["ephemeral"] = map[string]anyValue{"events": []anyValue{
				map[string]anyValue{"type": "m.receipt", "content": receiptContent(fresh, true)},
			}}
		}
		if len(section) > 0 {
			joined[roomID] = section
		}
	}
	return mustJSON(map[string]anyValue{
		"next_batch": fmt.Sprintf("s%d", s.stream),
		"rooms":      map[string]anyValue{"join": joined},
	}), len(joined) > 0
}

type anyValue = interface{}

// receiptsFor returns the receipts that a user may see, made after a stream number.
func (r *room) receiptsFor(user id.UserID, after int64) map[receiptKey]*receipt {
	fresh := make(map[receiptKey]*receipt)
	for key, set := range r.receipts {
		if set.stream > after && (key.typ != ReadPrivate || key.user == user) {
			fresh[key] = set
		}
	}
	return fresh
}
