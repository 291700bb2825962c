package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"maunium.net/go/mautrix/id"
)

// watch is a user who looks at a room by /sync, as a client does, and knows whose receipt stands where.
type watch struct {
	r    *realm
	who  account
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	at      map[id.UserID]id.EventID
	changed chan struct{} // closed and replaced at each change
	err     error
}

const watchFilter = `{"presence":{"types":[]},"account_data":{"types":[]},"room":{"timeline":{"limit":1},"state":{"lazy_load_members":true},"ephemeral":{"types":["m.receipt"]}}}`

// watchAs begins to look. What has been before is not looked at.
func (r *realm) watchAs(ctx context.Context, who account) (*watch, error) {
	w := &watch{r: r, who: who, done: make(chan struct{}), at: make(map[id.UserID]id.EventID), changed: make(chan struct{})}
	since, err := w.sync(ctx, "")
	if err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(ctx)
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			if since, err = w.sync(ctx, since); err != nil && ctx.Err() == nil {
				w.mu.Lock()
				w.err = err
				close(w.changed)
				w.changed = make(chan struct{})
				w.mu.Unlock()
				return
			}
		}
	}()
	return w, nil
}

func (w *watch) end() { w.stop(); <-w.done }

func (w *watch) sync(ctx context.Context, since string) (string, error) {
	query := url.Values{"filter": {watchFilter}, "timeout": {"0"}}
	if since != "" {
		query.Set("since", since)
		query.Set("timeout", "20000")
	}
	var answer struct {
		NextBatch string `json:"next_batch"`
		Rooms     struct {
			Join map[id.RoomID]struct {
				Ephemeral struct {
					Events []struct {
						Type    string                                           `json:"type"`
						Content map[id.EventID]map[string]map[id.UserID]struct{} `json:"content"`
					} `json:"events"`
				} `json:"ephemeral"`
			} `json:"join"`
		} `json:"rooms"`
	}
	if err := w.r.do(ctx, w.who, http.MethodGet, "/sync", query, nil, &answer); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, room := range answer.Rooms.Join {
		for _, event := range room.Ephemeral.Events {
			for eventID, kinds := range event.Content {
				for user := range kinds["m.read"] {
					w.at[user] = eventID
				}
			}
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
	return answer.NextBatch, nil
}

// wait waits until the receipts of all these users stand at an event.
func (w *watch) wait(ctx context.Context, users []id.UserID, event id.EventID) error {
	for {
		w.mu.Lock()
		changed, err, missing := w.changed, w.err, 0
		for _, u := range users {
			if w.at[u] != event {
				missing++
			}
		}
		w.mu.Unlock()
		if missing == 0 || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("failed to see the receipts of %d users: %w", missing, ctx.Err())
		}
	}
}
