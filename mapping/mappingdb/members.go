package mappingdb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// stay is a row of tim_member.
type stay struct {
	user mapping.UserKey
	n    int
	receipts.Interval
}

const staySelect = `SELECT user_key, stay, joined_seq, joined_pos, left_seq, left_pos FROM tim_member `

func scanStay(row dbutil.Scannable) (m stay, err error) {
	var joinedPos, leftSeq, leftPos sql.NullInt64
	err = row.Scan(&m.user, &m.n, &m.JoinedSeq, &joinedPos, &leftSeq, &leftPos)
	m.JoinedPos, m.JoinedPosKnown = receipts.Pos(joinedPos.Int64), joinedPos.Valid
	m.Left, m.LeftSeq, m.LeftPos = leftSeq.Valid, receipts.MsgSeq(leftSeq.Int64), receipts.Pos(leftPos.Int64)
	return m, err
}

// stays returns the stays of users in a group (of all, if users is nil), by user and time.
func (s *Store) stays(ctx context.Context, group mapping.GroupKey, users []mapping.UserKey) (out []stay, err error) {
	read := func(where string, a args) error {
		rows, err := s.db.Query(ctx, staySelect+where, a...)
		return each(rows, err, func(row dbutil.Scannable) error {
			m, err := scanStay(row)
			out = append(out, m)
			return err
		})
	}
	if users == nil {
		err = read(`WHERE group_key = $1`, args{group})
	}
	for chunk := range slices.Chunk(unique(users), maxIn) {
		a := args{group}
		if err = read(in(s, &a, `WHERE group_key = $1 AND user_key`, chunk), a); err != nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("failed to get members: %w", err)
	}
	slices.SortFunc(out, func(a, b stay) int {
		return cmp.Or(cmp.Compare(a.user, b.user), compareStay(a.Interval, b.Interval), cmp.Compare(a.n, b.n))
	})
	return out, nil
}

// compareStay orders the stays of one user by time, the one that goes on last.
func compareStay(a, b receipts.Interval) int {
	switch {
	case a.Left && !b.Left:
		return -1
	case !a.Left && b.Left:
		return 1
	}
	return cmp.Or(cmp.Compare(a.JoinedSeq, b.JoinedSeq), cmp.Compare(a.LeftSeq, b.LeftSeq), cmp.Compare(a.LeftPos, b.LeftPos))
}

// Join says that a user is a member of a group from after seq on, in the room from
// after pos on if posKnown. It changes nothing if he is one already, by this very
// account. A stay never begins before the end of the one before it.
func (s *Store) Join(ctx context.Context, group mapping.GroupKey, user mapping.UserKey, seq receipts.MsgSeq, pos receipts.Pos, posKnown bool) (changed bool, err error) {
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := s.lockGroup(ctx, group); err != nil {
			return err
		}
		before, err := s.stays(ctx, group, []mapping.UserKey{user})
		if err != nil {
			return err
		}
		n := 0
		for _, m := range before {
			if !m.Left {
				return nil
			}
			n, seq, pos = max(n, m.n), max(seq, m.LeftSeq), max(pos, m.LeftPos)
		}
		changed = true
		return s.insertStay(ctx, group, stay{user, n + 1, receipts.Interval{JoinedSeq: seq, JoinedPos: pos, JoinedPosKnown: posKnown}})
	})
	if err != nil {
		return false, fmt.Errorf("failed to join user to group: %w", err)
	}
	return changed, nil
}

func (s *Store) insertStay(ctx context.Context, group mapping.GroupKey, m stay) error {
	_, err := s.db.Exec(ctx, `INSERT INTO tim_member (group_key, user_key, stay, joined_seq, joined_pos, left_seq, left_pos) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		group, m.user, m.n, m.JoinedSeq, sql.NullInt64{Int64: int64(m.JoinedPos), Valid: m.JoinedPosKnown},
		sql.NullInt64{Int64: int64(m.LeftSeq), Valid: m.Left}, sql.NullInt64{Int64: int64(m.LeftPos), Valid: m.Left})
	return err
}

// Leave says that a user is no member after seq, in the room after pos. It changes
// nothing if he is none. A linked user leaves with his aliases; an alias leaves
// alone. No stay ends before it began; one that would hold nothing and is known
// already is forgotten.
func (s *Store) Leave(ctx context.Context, group mapping.GroupKey, user mapping.UserKey, seq receipts.MsgSeq, pos receipts.Pos) (changed bool, err error) {
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := s.lockGroup(ctx, group); err != nil {
			return err
		}
		keys, err := s.accounts(ctx, user)
		if err != nil {
			return err
		}
		all, err := s.stays(ctx, group, keys)
		if err != nil {
			return err
		}
		for _, m := range all {
			if m.Left {
				continue
			}
			changed = true
			open := m
			m.Left, m.LeftSeq, m.LeftPos = true, max(seq, m.JoinedSeq), max(pos, m.JoinedPos)
			if slices.ContainsFunc(all, func(o stay) bool { return o.user == m.user && o.Interval == m.Interval }) {
				_, err = s.db.Exec(ctx, `DELETE FROM tim_member WHERE group_key = $1 AND user_key = $2 AND stay = $3`, group, open.user, open.n)
			} else {
				_, err = s.db.Exec(ctx, `UPDATE tim_member SET left_seq = $4, left_pos = $5 WHERE group_key = $1 AND user_key = $2 AND stay = $3`, group, m.user, m.n, m.LeftSeq, m.LeftPos)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("failed to let user leave group: %w", err)
	}
	return changed, nil
}

// accounts returns a user and his aliases.
func (s *Store) accounts(ctx context.Context, user mapping.UserKey) ([]mapping.UserKey, error) {
	aliases, err := users(ctx, s, "alias_of", []mapping.UserKey{user})
	keys := []mapping.UserKey{user}
	for _, alias := range aliases {
		keys = append(keys, alias.Key)
	}
	return keys, err
}

// lockGroup makes others who change the group's rows wait for this transaction.
func (s *Store) lockGroup(ctx context.Context, group mapping.GroupKey) error {
	if s.forUpdate == "" {
		return nil
	}
	var one int
	return s.db.QueryRow(ctx, `SELECT 1 FROM tim_group WHERE group_key = $1`+s.forUpdate, group).Scan(&one)
}

// Members returns everybody who is or was in a group, in order of their keys. The
// stays of an alias are among those of his linked user; aliases are not returned
// themselves.
func (s *Store) Members(ctx context.Context, group mapping.GroupKey) ([]mapping.Member, error) {
	all, err := s.stays(ctx, group, nil)
	if err != nil {
		return nil, err
	}
	persons, known, err := s.persons(ctx, all)
	if err != nil {
		return nil, err
	}
	out := make([]mapping.Member, 0, len(persons))
	for key, ms := range persons {
		out = append(out, mapping.Member{User: known[key], Membership: ms})
	}
	slices.SortFunc(out, func(a, b mapping.Member) int { return cmp.Compare(a.User.Key, b.User.Key) })
	return out, nil
}

// MembersAtMost returns a number that MemberCount is not above, for much less: who
// is a member under two names counts twice.
func (s *Store) MembersAtMost(ctx context.Context, group mapping.GroupKey) (n int, err error) {
	if err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tim_member WHERE group_key = $1 AND left_seq IS NULL`, group).Scan(&n); err != nil {
		return 0, fmt.Errorf("failed to count members: %w", err)
	}
	return n, nil
}

// MemberCount returns how many are in a group now, a linked user and his alias as
// one.
func (s *Store) MemberCount(ctx context.Context, group mapping.GroupKey) (n int, err error) {
	err = s.db.QueryRow(ctx, `SELECT COUNT(DISTINCT COALESCE(u.alias_of, m.user_key)) FROM tim_member m
		JOIN tim_user u ON u.user_key = m.user_key WHERE m.group_key = $1 AND m.left_seq IS NULL`, group).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("failed to count members: %w", err)
	}
	return n, nil
}

// persons returns the membership of each person and the users who they are.
func (s *Store) persons(ctx context.Context, all []stay) (map[mapping.UserKey]receipts.Membership, map[mapping.UserKey]mapping.User, error) {
	accounts := make(map[mapping.UserKey]receipts.Membership)
	for _, m := range all {
		accounts[m.user] = append(accounts[m.user], m.Interval)
	}
	known, err := s.UsersByKey(ctx, mapKeys(accounts))
	if err != nil {
		return nil, nil, err
	}
	var linked []mapping.UserKey
	for _, u := range known {
		if _, ok := known[u.AliasOf]; u.AliasOf != 0 && !ok {
			linked = append(linked, u.AliasOf)
		}
	}
	more, err := s.UsersByKey(ctx, linked)
	if err != nil {
		return nil, nil, err
	}
	persons := make(map[mapping.UserKey]receipts.Membership, len(accounts))
	for key, ms := range accounts {
		person := known[key].Person()
		if own, ok := persons[person]; ok {
			ms = mapping.UnionMembership(own, ms)
		}
		persons[person] = ms
	}
	for key, u := range more {
		known[key] = u
	}
	return persons, known, nil
}

// MembershipOf returns the stays of users in a group, those of a linked user and
// his aliases together under any of their keys. Users who were never in the group
// are left out.
func (s *Store) MembershipOf(ctx context.Context, group mapping.GroupKey, asked []mapping.UserKey) (map[mapping.UserKey]receipts.Membership, error) {
	known, err := s.UsersByKey(ctx, asked)
	if err != nil {
		return nil, err
	}
	return s.MembershipOfKnown(ctx, group, asked, known)
}

// MembershipOfKnown is MembershipOf for who has read who the users are.
func (s *Store) MembershipOfKnown(ctx context.Context, group mapping.GroupKey, asked []mapping.UserKey, known map[mapping.UserKey]mapping.User) (map[mapping.UserKey]receipts.Membership, error) {
	person := make(map[mapping.UserKey]mapping.UserKey, len(asked))
	keys := make([]mapping.UserKey, 0, len(asked))
	var linked []mapping.UserKey
	for _, key := range asked {
		person[key] = known[key].Person()
		keys = append(keys, person[key])
		if known[key].Kind == receipts.KindLinked || known[key].AliasOf != 0 {
			linked = append(linked, person[key])
		}
	}
	aliases, err := users(ctx, s, "alias_of", linked)
	if err != nil {
		return nil, err
	}
	for _, alias := range aliases {
		person[alias.Key] = alias.AliasOf
		keys = append(keys, alias.Key)
	}
	if len(keys) == 0 {
		return map[mapping.UserKey]receipts.Membership{}, nil
	}
	all, err := s.stays(ctx, group, keys)
	if err != nil {
		return nil, err
	}
	accounts := make(map[mapping.UserKey]receipts.Membership)
	for _, m := range all {
		accounts[m.user] = append(accounts[m.user], m.Interval)
	}
	persons := make(map[mapping.UserKey]receipts.Membership)
	for key, ms := range accounts {
		who := key
		if p := person[key]; p != 0 {
			who = p
		}
		if own, ok := persons[who]; ok {
			ms = mapping.UnionMembership(own, ms)
		}
		persons[who] = ms
	}
	out := make(map[mapping.UserKey]receipts.Membership, len(asked))
	for _, key := range asked {
		if ms, ok := persons[person[key]]; ok {
			out[key] = ms
		}
	}
	return out, nil
}

// GroupsOf returns the groups that a user is in now, with his aliases if he is
// linked, in order of their keys.
func (s *Store) GroupsOf(ctx context.Context, user mapping.UserKey) ([]mapping.GroupKey, error) {
	return s.groupsOf(ctx, user, "left_seq IS NULL AND ")
}

// GroupsEverOf returns the groups that a user is or was in, as GroupsOf does.
func (s *Store) GroupsEverOf(ctx context.Context, user mapping.UserKey) ([]mapping.GroupKey, error) {
	return s.groupsOf(ctx, user, "")
}

func (s *Store) groupsOf(ctx context.Context, user mapping.UserKey, when string) (out []mapping.GroupKey, err error) {
	keys, err := s.accounts(ctx, user)
	if err != nil {
		return nil, err
	}
	var a args
	rows, err := s.db.Query(ctx, in(s, &a, `SELECT group_key FROM tim_member WHERE `+when+`user_key`, keys), a...)
	err = each(rows, err, func(row dbutil.Scannable) error {
		var key mapping.GroupKey
		err := row.Scan(&key)
		out = append(out, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get groups of user: %w", err)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func mapKeys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
