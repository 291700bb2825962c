package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// hub wakes those who listen for events. It only wakes: what there is to tell stands in the database, so a wake-up too many or
// one that comes late does no harm. It is safe for concurrent use.
type hub struct {
	b *Bridge

	mu        sync.Mutex
	listeners map[string]map[chan struct{}]struct{} // by user ID
}

func newHub(b *Bridge) *hub {
	return &hub{b: b, listeners: make(map[string]map[chan struct{}]struct{})}
}

// Subscribe implements v2tim.Events.
func (h *hub) Subscribe(user string) (wake <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[user] == nil {
		h.listeners[user] = make(map[chan struct{}]struct{})
	}
	h.listeners[user][ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners[user], ch)
		if len(h.listeners[user]) == 0 {
			delete(h.listeners, user)
		}
	}
}

func (h *hub) wake(user string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.listeners[user] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// announce wakes the users that a commit has news for. It must not block: it runs between commits.
func (h *hub) announce(s *session) {
	h.mu.Lock()
	idle := len(h.listeners) == 0
	h.mu.Unlock()
	if idle {
		return
	}
	for key := range s.wakeUsers {
		if u, ok := s.users[key]; ok {
			h.wake(u.UserID)
		}
	}
	for group := range s.wakeGroups {
		// Whoever is not in the group finds nothing.
		members, err := h.b.maps.Members(h.b.log.WithContext(context.Background()), group)
		if err != nil {
			h.b.log.Warn().Err(err).Msg("Failed to wake group members for a new message")
			continue
		}
		for _, m := range members {
			h.wake(m.User.UserID)
		}
	}
}

// Now implements v2tim.Events.
func (h *hub) Now(ctx context.Context) (string, error) {
	value, err := h.b.own.Value(ctx, bridgedb.KeyCursor)
	if value == "" {
		value = "0"
	}
	return value, err
}

// onlineFor is how old a message for those online now (onlineUserOnly) may be when it is told.
const onlineFor = 30 * time.Second

// Read implements v2tim.Events: callbacks of messages that user sent, and new messages in his groups, after a cursor.
func (h *hub) Read(ctx context.Context, user, after string, limit int) (v2tim.EventBatch, error) {
	from, now, err := h.parseCursor(ctx, after)
	if err != nil {
		return v2tim.EventBatch{}, err
	}
	batch := v2tim.EventBatch{Cursor: after}
	u, err := h.b.person(ctx, user)
	if isNotFound(err) {
		return batch, nil // nobody has told us of this user yet
	} else if err != nil {
		return batch, err
	}
	callbacks, err := h.b.reads.Callbacks(ctx, u.Key, from, limit)
	if err != nil {
		return batch, err
	}
	// Others commit between the two looks. What is above the cursor at the beginning comes next time, and where a list was cut so does
	// what is above its end, of both.
	upTo := now
	if len(callbacks) == limit {
		upTo = min(upTo, callbacks[limit-1].Cursor)
	}
	feed, upTo, err := h.newMessages(ctx, u, from, upTo, limit)
	if err != nil {
		return batch, err
	}
	callbacks = slices.DeleteFunc(callbacks, func(c receiptsCallback) bool { return c.Cursor > upTo })
	for _, e := range feed {
		var m v2tim.NewMessage
		if err = json.Unmarshal([]byte(e.Body), &m); err != nil {
			zerolog.Ctx(ctx).Error().Err(err).Int64("cursor", e.Cursor).Msg("Skipping damaged new message")
			continue
		}
		if m.OnlineUserOnly && h.b.clock().Sub(e.At) > onlineFor {
			continue
		}
		m.IsSelf = m.Sender == user
		batch.Messages = append(batch.Messages, m)
	}
	if batch.Receipts, err = h.receiptsOf(ctx, callbacks); err != nil {
		return batch, err
	}
	batch.Cursor, batch.More = strconv.FormatInt(upTo, 10), upTo < now
	return batch, nil
}

// parseCursor refuses what is no cursor of ours, what is ahead of us (another database) and what has been dropped. now is the last
// cursor that there is.
func (h *hub) parseCursor(ctx context.Context, cursor string) (from, now int64, err error) {
	if from, err = strconv.ParseInt(cursor, 10, 64); err != nil || from < 0 {
		return 0, 0, v2tim.ErrCursorTooOld
	}
	if now, err = h.number(ctx, bridgedb.KeyCursor); err != nil {
		return 0, 0, err
	}
	floor, err := h.number(ctx, bridgedb.KeyCursorFloor)
	if err == nil && (from > now || from < floor) {
		err = v2tim.ErrCursorTooOld
	}
	return from, now, err
}

func (h *hub) number(ctx context.Context, key string) (int64, error) {
	value, err := h.b.own.Value(ctx, key)
	n, _ := strconv.ParseInt("0"+value, 10, 64)
	return n, err
}

// newMessages lists what came into the groups of which user is a member, while he was one, in order. complete is up to where the list
// is, at most upTo.
func (h *hub) newMessages(ctx context.Context, u mapping.User, after, upTo int64, limit int) (all []bridgedb.FeedEntry, complete int64, err error) {
	groups, err := h.b.maps.GroupsOf(ctx, u.Key)
	if err != nil {
		return nil, 0, err
	}
	for _, group := range groups {
		list, err := h.b.own.Feed(ctx, group, after, limit)
		if err != nil {
			return nil, 0, err
		} else if len(list) == 0 {
			continue
		}
		if len(list) == limit { // also where none of them is for him: then the next read goes on behind them
			upTo = min(upTo, list[limit-1].Cursor)
		}
		membership, err := h.b.maps.MembershipOf(ctx, group, []mapping.UserKey{u.Key})
		if err != nil {
			return nil, 0, err
		}
		for _, e := range list {
			if membership[u.Key].AtSeq(e.Seq) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b bridgedb.FeedEntry) int { return cmp.Compare(a.Cursor, b.Cursor) })
	if len(all) > limit {
		upTo = min(upTo, all[limit-1].Cursor)
	}
	return slices.DeleteFunc(all, func(e bridgedb.FeedEntry) bool { return e.Cursor > upTo }), upTo, nil
}

// receiptsOf computes the counts of the called back messages as they are now.
func (h *hub) receiptsOf(ctx context.Context, callbacks []receiptsCallback) ([]v2tim.MessageReceipt, error) {
	byGroup := make(map[mapping.GroupKey][]receipts.MsgSeq)
	var order []mapping.GroupKey
	for _, c := range callbacks {
		if byGroup[c.Group] == nil {
			order = append(order, c.Group)
		}
		byGroup[c.Group] = append(byGroup[c.Group], c.Seq)
	}
	var list []v2tim.MessageReceipt
	for _, key := range order {
		g, err := h.b.maps.GroupByKey(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("failed to find group of callback: %w", err)
		}
		members, err := h.b.readers(ctx, key)
		if err != nil {
			return nil, err
		}
		messages, err := h.b.maps.MessagesBySeq(ctx, key, receipts.SetOf(byGroup[key]...), len(byGroup[key]))
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			list = append(list, messageReceipt(g, m, members))
		}
	}
	return list, nil
}

func messageReceipt(g mapping.Group, m mapping.Message, members []receipts.Member) v2tim.MessageReceipt {
	read, unread := receipts.Count(m.Message, members)
	return v2tim.MessageReceipt{MsgID: m.MsgID, GroupID: g.GroupID, ReadCount: uint64(read), UnreadCount: uint64(unread)}
}
