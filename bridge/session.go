package bridge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// session is the view that the changes of one commit have of the database: what is read is kept, what is changed is written
// once at the end, and who has to be told afterwards is remembered. It lives for one transaction and belongs to the
// committer's goroutine.
type session struct {
	b   *Bridge
	now time.Time

	groups      map[mapping.GroupKey]*mapping.Group
	rooms       map[id.RoomID]mapping.GroupKey // 0: known to be no group's room
	users       map[mapping.UserKey]mapping.User
	memberships map[reader]receipts.Membership
	rows        map[reader]*receiptsdb.Row
	dirty       map[reader]struct{}
	windows     map[mapping.GroupKey]*window
	ahead       *lookups      // of the run of changes that say what they ask; nil in all others
	patience    time.Duration // how long a first look waits for what may follow
	callbacks   map[callback]struct{}
	feed        []bridgedb.FeedEntry
	held        int // receipts that have to wait because of a damaged row

	// told after the commit
	wakeUsers  map[mapping.UserKey]struct{}
	wakeGroups map[mapping.GroupKey]struct{}
	remapped   map[mapping.GroupKey]struct{} // groups that have got, or lost, a room
	mapped     bool                          // a message got its place: calls that wait for it look again
	work       bool                          // reconcilers have something to do
	markersDue bool                          // the one for receipts to Matrix has
	acksDue    bool                          // the one for receipts to Tencent has
	after      []func()
}

type reader struct {
	group mapping.GroupKey
	user  mapping.UserKey
}

type callback struct {
	user  mapping.UserKey
	group mapping.GroupKey
	seq   receipts.MsgSeq
}

func newSession(b *Bridge) *session {
	return &session{
		b:           b,
		now:         b.clock(),
		groups:      make(map[mapping.GroupKey]*mapping.Group),
		rooms:       make(map[id.RoomID]mapping.GroupKey),
		users:       make(map[mapping.UserKey]mapping.User),
		memberships: make(map[reader]receipts.Membership),
		rows:        make(map[reader]*receiptsdb.Row),
		dirty:       make(map[reader]struct{}),
		windows:     make(map[mapping.GroupKey]*window),
		callbacks:   make(map[callback]struct{}),
		wakeUsers:   make(map[mapping.UserKey]struct{}),
		wakeGroups:  make(map[mapping.GroupKey]struct{}),
		remapped:    make(map[mapping.GroupKey]struct{}),
	}
}

// group of a room; nil if the room is no group's.
func (s *session) groupOfRoom(ctx context.Context, room id.RoomID) (*mapping.Group, error) {
	key, ok := s.rooms[room]
	if !ok {
		g, err := s.b.maps.GroupByRoom(ctx, room)
		if isNotFound(err) {
			s.rooms[room] = 0
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		s.rooms[room] = g.Key
		s.groups[g.Key] = &g
		return &g, nil
	}
	return s.groups[key], nil
}

func (s *session) group(ctx context.Context, key mapping.GroupKey) (*mapping.Group, error) {
	if g, ok := s.groups[key]; ok {
		return g, nil
	}
	g, err := s.b.maps.GroupByKey(ctx, key)
	if err != nil {
		return nil, err
	}
	s.groups[key] = &g
	return &g, nil
}

// forgetGroup drops what is cached of a group and its room: they have been mapped anew.
func (s *session) forgetGroup(key mapping.GroupKey) {
	s.remapped[key] = struct{}{}
	delete(s.groups, key)
	delete(s.windows, key)
	clear(s.rooms)
	clear(s.memberships)
}

func (s *session) user(ctx context.Context, key mapping.UserKey) (mapping.User, error) {
	if err := s.loadUsers(ctx, []mapping.UserKey{key}); err != nil {
		return mapping.User{}, err
	}
	return s.users[key], nil
}

// personOf is the user with a key, or the linked user whose alias he has become.
func (s *session) personOf(ctx context.Context, key mapping.UserKey) (mapping.User, error) {
	u, err := s.user(ctx, key)
	if err != nil || u.AliasOf == 0 {
		return u, err
	}
	return s.user(ctx, u.AliasOf)
}

func (s *session) loadUsers(ctx context.Context, keys []mapping.UserKey) error {
	var missing []mapping.UserKey
	for _, key := range keys {
		if _, ok := s.users[key]; !ok && key != 0 {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := s.b.maps.UsersByKey(ctx, missing)
	if err != nil {
		return err
	}
	for key, u := range found {
		s.users[key] = u
	}
	return nil
}

// save marks a reader's row to be written with the commit. A damaged one stays as it is.
func (s *session) save(row *receiptsdb.Row) {
	if row.Damage != nil {
		return
	}
	s.dirty[reader{row.Group, row.User}] = struct{}{}
}

// due asks for a look at what Matrix shows for this reader. The first look at an idle reader is at once; what follows while one
// is planned or under way rides with it or comes one coalescing time later.
func (s *session) due(row *receiptsdb.Row) {
	if s.plan(row, &row.Due) {
		s.markersDue = true
	}
}

// ackDue asks for a look at what Tencent Cloud has yet to be told of this reader, in the same way. In standalone there is nobody to tell.
func (s *session) ackDue(row *receiptsdb.Row) {
	if s.b.cloud != nil && s.plan(row, &row.AckDue) {
		s.acksDue = true
	}
}

// plan tells whether the look is one that nobody has planned yet.
func (s *session) plan(row *receiptsdb.Row, due *time.Time) bool {
	at := s.now.Add(s.patience)
	if !due.IsZero() {
		at = s.now.Add(s.b.cfg.Matrix.Coalesce)
		if !due.After(at) {
			return false
		}
	}
	*due = at
	s.save(row)
	return true
}

// window is a run of a group's messages in order of pos, read once for many receipts of one transaction.
type window struct {
	after, to receipts.Pos
	messages  []receipts.Message
}

// maxWindow bounds the messages that a session keeps per group.
const maxWindow = 5000

// preload reads the messages of a group between two places for later calls of between.
func (s *session) preload(ctx context.Context, group mapping.GroupKey, after, to receipts.Pos) error {
	if to-after > maxWindow || to <= after {
		return nil
	}
	messages, err := s.b.maps.MessagesBetween(ctx, group, after, to, maxWindow)
	if err != nil {
		return err
	}
	w := &window{after: after, to: to}
	for _, m := range messages {
		w.messages = append(w.messages, m.Message)
	}
	s.windows[group] = w
	return nil
}

// between calls fn with the group's messages with after < pos <= to, page by page, in order.
func (s *session) between(ctx context.Context, group mapping.GroupKey, after, to receipts.Pos, fn func([]receipts.Message) error) error {
	if w := s.windows[group]; w != nil && after >= w.after && to <= w.to {
		lo, _ := slices.BinarySearchFunc(w.messages, after+1, func(m receipts.Message, p receipts.Pos) int { return int(m.Pos - p) })
		hi, _ := slices.BinarySearchFunc(w.messages, to+1, func(m receipts.Message, p receipts.Pos) int { return int(m.Pos - p) })
		return fn(w.messages[lo:hi])
	}
	for after < to {
		page, err := s.b.maps.MessagesBetween(ctx, group, after, to, maxWindow)
		if err != nil {
			return err
		}
		messages := make([]receipts.Message, len(page))
		for i, m := range page {
			messages[i] = m.Message
		}
		if err = fn(messages); err != nil {
			return err
		}
		if len(page) < maxWindow {
			return nil
		}
		after = page[len(page)-1].Pos
	}
	return nil
}

// flush writes what has changed. After it the session only announces.
func (s *session) flush(ctx context.Context) error {
	if err := s.writeRows(ctx); err != nil {
		return err
	}
	if len(s.callbacks) == 0 && len(s.feed) == 0 {
		return nil
	}
	cursor := s.b.cursor
	for i := range s.feed {
		cursor++
		s.feed[i].Cursor = cursor
		if err := s.b.own.PutFeed(ctx, s.feed[i]); err != nil {
			return err
		}
	}
	if len(s.callbacks) > 0 {
		list := make([]receiptsdb.Callback, 0, len(s.callbacks))
		for c := range s.callbacks {
			cursor++
			list = append(list, receiptsdb.Callback{User: c.user, Group: c.group, Seq: c.seq, Cursor: cursor, At: s.now})
		}
		if err := s.b.reads.PutCallbacks(ctx, list); err != nil {
			return err
		}
	}
	if err := s.b.own.SetValue(ctx, bridgedb.KeyCursor, strconv.FormatInt(cursor, 10)); err != nil {
		return fmt.Errorf("failed to keep cursor: %w", err)
	}
	s.b.cursor = cursor // numbers of a failed commit are lost, which does no harm
	return nil
}

func (s *session) writeRows(ctx context.Context) error {
	if len(s.dirty) == 0 {
		return nil
	}
	rows := make([]receiptsdb.Row, 0, len(s.dirty))
	for key := range s.dirty {
		rows = append(rows, *s.rows[key])
	}
	clear(s.dirty)
	return s.b.reads.Save(ctx, rows)
}

// changeStored lets change work on the stored rows of a group: those changed in this commit are written before, all are read anew after.
func (s *session) changeStored(ctx context.Context, group mapping.GroupKey, change func() error) error {
	if err := s.writeRows(ctx); err != nil {
		return err
	}
	for key := range s.rows {
		if key.group == group {
			delete(s.rows, key)
		}
	}
	return change()
}

// announce tells those who wait, after the commit.
func (s *session) announce() {
	if s.mapped {
		s.b.mapped.broadcast()
	}
	if len(s.callbacks) > 0 {
		s.b.called.broadcast()
	}
	// Receipts come by the thousand: they wake only the one who has to do with them, as each looks into the database.
	if s.work {
		s.b.wakeReconcilers()
	} else {
		if s.markersDue {
			s.b.markers.wakeUp()
		}
		if s.acksDue && s.b.cloud != nil {
			s.b.cloud.acks.wakeUp()
		}
	}
	s.b.hub.announce(s)
	if s.b.cloud != nil {
		for key := range s.remapped {
			s.b.cloud.relink(key)
		}
	}
	for _, fn := range s.after {
		fn()
	}
}
