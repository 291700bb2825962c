package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// homeserver stands in for one where the homeserver is not what is measured: it says yes to everything, keeps nothing and costs little.
// Where it is measured, it is package matrixtest's, or a real one.
type homeserver struct {
	url  string
	http *http.Server

	joined  atomic.Int64 // how often it was asked who is in a room
	mu      sync.Mutex
	members []id.UserID          // of every room
	bots    map[string]id.UserID // by token
}

func newHomeserver() (*homeserver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("failed to listen as homeserver: %w", err)
	}
	h := &homeserver{url: "http://" + listener.Addr().String(), bots: make(map[string]id.UserID)}
	h.http = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := h.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			panic(err) // without it every line would wait for something that cannot come
		}
	}()
	return h, nil
}

func (h *homeserver) close() error { return h.http.Close() }

// knows tells who owns a token, and who is in all rooms.
func (h *homeserver) knows(token string, bot id.UserID, members []id.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bots[token], h.members = bot, append([]id.UserID{bot}, members...)
}

func (h *homeserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20)) // else the connection could not be used again
	path, query := r.URL.Path, r.URL.Query()
	h.mu.Lock()
	user, members := h.bots[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")], h.members
	h.mu.Unlock()
	if as := query.Get("user_id"); as != "" {
		user = id.UserID(as)
	}
	answer := map[string]any{}
	switch {
	case strings.HasSuffix(path, "/versions"):
		answer["versions"] = []string{"v1.1", "v1.4", "v1.5"} // without the ping of application services, which is v1.7
	case strings.HasSuffix(path, "/whoami"), strings.HasSuffix(path, "/register"):
		answer["user_id"] = user
	case strings.HasSuffix(path, "/joined_members"):
		h.joined.Add(1)
		joined := make(map[id.UserID]any, len(members))
		for _, m := range members {
			joined[m] = struct{}{}
		}
		answer["joined"] = joined
	case strings.HasSuffix(path, "/sync"):
		sleepSync(r, query)
		answer["next_batch"] = "s1"
	case strings.Contains(path, "/send/"), strings.Contains(path, "/state/"):
		answer["event_id"] = "$answer"
	case strings.Contains(path, "/join"), strings.HasSuffix(path, "/createRoom"):
		answer["room_id"] = "!answer:" + lab.Domain
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // who has gone needs no answer
}

// sleepSync waits as long as a long poll asks to.
func sleepSync(r *http.Request, query url.Values) {
	ms, err := strconv.Atoi(query.Get("timeout"))
	if err == nil && query.Get("since") != "" {
		_ = pause(r.Context(), min(time.Duration(ms)*time.Millisecond, time.Minute)) // cut short when the other side goes
	}
}
