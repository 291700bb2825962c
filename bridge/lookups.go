package bridge

import (
	"context"
	"maps"
	"slices"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// lookups answers what the checks of acknowledgements ask of the database, and asks it each thing once. What it has read it keeps, so it
// must not outlive what it was read for: one call, or the run of changes of one commit that write nothing of what it keeps (see
// session.lookAhead). It belongs to one goroutine.
type lookups struct {
	b           *Bridge
	users       map[string]mapping.User        // by UserID; without Key: there is none
	messages    map[string]mapping.Message     // by msgID; without Group: there is none
	bySeq       map[messageKey]mapping.Message // likewise
	groups      map[mapping.GroupKey]mapping.Group
	memberships map[reader]receipts.Membership
	members     map[mapping.GroupKey]int // how many
}

type messageKey struct {
	group mapping.GroupKey
	seq   receipts.MsgSeq
}

func newLookups(b *Bridge) *lookups {
	return &lookups{
		b: b, users: make(map[string]mapping.User), messages: make(map[string]mapping.Message), bySeq: make(map[messageKey]mapping.Message),
		groups: make(map[mapping.GroupKey]mapping.Group), memberships: make(map[reader]receipts.Membership), members: make(map[mapping.GroupKey]int),
	}
}

// usersByID finds users, aliases as they are. Who is not known is left out; nobody is whose UserID cannot be kept, and a database need
// not be asked for it, which might refuse to look for it and fail all who ride with it.
func (l *lookups) usersByID(ctx context.Context, userIDs []string) (map[string]mapping.User, error) {
	missing := slices.DeleteFunc(unknown(l.users, userIDs), func(userID string) bool { return mapping.ValidateUserID(userID) != nil })
	if len(missing) > 0 {
		found, err := l.b.maps.UsersByID(ctx, missing)
		if err != nil {
			return nil, err
		}
		for _, userID := range missing {
			l.users[userID] = found[userID]
		}
	}
	out := make(map[string]mapping.User, len(userIDs))
	for _, userID := range userIDs {
		if u := l.users[userID]; u.Key != 0 {
			out[userID] = u
		}
	}
	return out, nil
}

// person is Bridge.person; the zero user is nobody that is known.
func (l *lookups) person(ctx context.Context, userID string) (mapping.User, error) {
	found, err := l.usersByID(ctx, []string{userID})
	u := found[userID]
	if err != nil || u.AliasOf == 0 {
		return u, err
	}
	if u, err = l.b.personByKey(ctx, u.AliasOf); err == nil {
		l.users[userID] = u
	}
	return u, err
}

// load reads messages for later calls of resolve.
func (l *lookups) load(ctx context.Context, msgIDs []string) error {
	missing := unknown(l.messages, msgIDs)
	if len(missing) == 0 {
		return nil
	}
	found, err := l.b.maps.MessagesByMsgID(ctx, missing)
	if err != nil {
		return err
	}
	for _, msgID := range missing {
		l.messages[msgID] = found[msgID]
	}
	return nil
}

// messagesBySeq returns those of the messages that are known, in rising order.
func (l *lookups) messagesBySeq(ctx context.Context, group mapping.GroupKey, seqs receipts.Set) ([]mapping.Message, error) {
	var missing []receipts.MsgSeq
	for seq := range seqs.All() {
		if _, ok := l.bySeq[messageKey{group, seq}]; !ok {
			missing = append(missing, seq)
		}
	}
	if len(missing) > 0 {
		found, err := l.b.maps.MessagesBySeq(ctx, group, receipts.SetOf(missing...), 0)
		if err != nil {
			return nil, err
		}
		for _, seq := range missing {
			l.bySeq[messageKey{group, seq}] = mapping.Message{}
		}
		for _, m := range found {
			l.bySeq[messageKey{group, m.Seq}] = m
		}
	}
	var out []mapping.Message
	for seq := range seqs.All() {
		if m := l.bySeq[messageKey{group, seq}]; m.Group != 0 {
			out = append(out, m)
		}
	}
	return out, nil
}

// forgetMessage is for who writes a message that may have been read before. l may be nil.
func (l *lookups) forgetMessage(group mapping.GroupKey, seq receipts.MsgSeq) {
	if l == nil {
		return
	}
	delete(l.bySeq, messageKey{group, seq})
	maps.DeleteFunc(l.messages, func(_ string, m mapping.Message) bool { return m.Group == group && m.Seq == seq })
}

// forgetUser is the same for who makes a user.
func (l *lookups) forgetUser(userID string) {
	if l != nil {
		delete(l.users, userID)
	}
}

// loadMemberships reads since when people (no aliases) are in a group, for later calls of resolve.
func (l *lookups) loadMemberships(ctx context.Context, group mapping.GroupKey, people ...mapping.User) error {
	var missing []mapping.UserKey
	known := make(map[mapping.UserKey]mapping.User, len(people))
	for _, u := range people {
		if _, ok := l.memberships[reader{group, u.Key}]; !ok && u.Key != 0 {
			missing = append(missing, u.Key)
			known[u.Key] = u
		}
	}
	if len(missing) == 0 {
		return nil
	}
	found, err := l.b.maps.MembershipOfKnown(ctx, group, missing, known)
	if err != nil {
		return err
	}
	for _, user := range missing {
		l.memberships[reader{group, user}] = found[user]
	}
	return nil
}

// resolve finds the messages behind ids, with what the rules need to know of their groups and of the caller in them.
func (l *lookups) resolve(ctx context.Context, caller mapping.User, ids []string) (map[string]receipts.Resolved, error) {
	if err := l.load(ctx, ids); err != nil {
		return nil, err
	}
	resolved := make(map[string]receipts.Resolved, len(ids))
	for _, msgID := range ids {
		m := l.messages[msgID]
		if m.Group == 0 {
			continue
		}
		r, err := l.resolveGroup(ctx, caller, m.Group)
		if err != nil {
			return nil, err
		}
		r.Message = m.Message
		resolved[msgID] = r
	}
	return resolved, nil
}

func (l *lookups) resolveGroup(ctx context.Context, caller mapping.User, key mapping.GroupKey) (r receipts.Resolved, err error) {
	g, err := l.group(ctx, key)
	if err != nil {
		return r, err
	}
	r = receipts.Resolved{GroupID: g.GroupID, Group: key, GroupType: g.Type, Edition: l.b.cfg.Tencent.Edition.HasReceipts()}
	if err = l.loadMemberships(ctx, key, caller); err != nil {
		return r, err
	}
	r.CallerIsMember = l.memberships[reader{key, caller.Key}].IsMember()
	r.Members, err = l.memberCount(ctx, key)
	return r, err
}

func (l *lookups) group(ctx context.Context, key mapping.GroupKey) (mapping.Group, error) {
	g, ok := l.groups[key]
	if ok {
		return g, nil
	}
	g, err := l.b.maps.GroupByKey(ctx, key)
	if err == nil {
		l.groups[key] = g
	}
	return g, err
}

// memberCount is exact only where that matters: where a group may have too many members.
func (l *lookups) memberCount(ctx context.Context, key mapping.GroupKey) (n int, err error) {
	most := l.b.cfg.Tencent.MaxMembers
	n, ok := l.members[key]
	if ok || most <= 0 {
		return n, nil
	}
	n, err = l.b.maps.MembersAtMost(ctx, key)
	if err == nil && n > most {
		n, err = l.b.maps.MemberCount(ctx, key)
	}
	if err == nil {
		l.members[key] = n
	}
	return n, err
}

// unknown returns the keys that are not in known, each once.
func unknown[V any](known map[string]V, keys []string) (missing []string) {
	seen := make(map[string]struct{})
	for _, key := range keys {
		if _, ok := known[key]; ok {
			continue
		}
		if _, ok := seen[key]; !ok {
			seen[key] = struct{}{}
			missing = append(missing, key)
		}
	}
	return missing
}
