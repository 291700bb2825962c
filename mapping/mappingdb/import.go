package mappingdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

var (
	_ mapping.ImportStore = (*Store)(nil)
	_ mapping.ExportStore = (*Store)(nil)
)

// errRefused rolls a batch back of which a record was refused.
var errRefused = errors.New("a record was refused")

// ImportRecords implements mapping.ImportStore. What is said of something known
// must be what is known of it; what is not said stays. Of a known group, switches
// are left as they are. It must not be called within a transaction: it could not
// undo the records before a refused one.
func (s *Store) ImportRecords(ctx context.Context, recs []mapping.Record) (news int, refused map[int]error, err error) {
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		// A run of records of one type is stored with a few statements.
		for start := 0; start < len(recs); {
			end := start + 1
			for end < len(recs) && sameRun(recs[start], recs[end]) {
				end++
			}
			n, errs, err := s.importRun(ctx, recs[start:end])
			if err != nil {
				return err
			} else if len(errs) > 0 {
				refused = make(map[int]error, len(errs))
				for i, err := range errs {
					refused[start+i] = err
				}
				return errRefused
			}
			news += n
			start = end
		}
		return nil
	})
	if errors.Is(err, errRefused) {
		return 0, refused, nil
	} else if err != nil {
		return 0, nil, fmt.Errorf("failed to store records: %w", err)
	}
	return news, nil, nil
}

// sameRun: an alias needs the key of its linked user, who must be stored before.
func sameRun(a, b mapping.Record) bool {
	return a.Type == b.Type && (a.AliasOf == "") == (b.AliasOf == "")
}

func (s *Store) importRun(ctx context.Context, recs []mapping.Record) (int, map[int]error, error) {
	switch recs[0].Type {
	case mapping.RecordGroup:
		return s.importGroups(ctx, recs)
	case mapping.RecordUser:
		return s.importUsers(ctx, recs)
	case mapping.RecordMember:
		return s.importMembers(ctx, recs)
	case mapping.RecordMessage:
		return s.importMessages(ctx, recs)
	default:
		return 0, nil, fmt.Errorf("%w record type %q", mapping.ErrInvalid, recs[0].Type)
	}
}

func (s *Store) importGroups(ctx context.Context, recs []mapping.Record) (news int, refused map[int]error, err error) {
	refused = make(map[int]error)
	for i, rec := range recs {
		changed, err := s.importGroup(ctx, rec)
		if errors.Is(err, mapping.ErrConflict) || errors.Is(err, mapping.ErrInvalid) {
			refused[i] = err
		} else if err != nil {
			return 0, nil, err
		} else if changed {
			news++
		}
	}
	return news, refused, nil
}

func (s *Store) importGroup(ctx context.Context, rec mapping.Record) (changed bool, err error) {
	g := mapping.Group{GroupID: rec.GroupID, RoomID: rec.RoomID, SeqSource: rec.SeqSource, Type: rec.GroupType, Name: rec.Name}
	old, err := s.GroupByID(ctx, rec.GroupID)
	known := err == nil
	if err != nil && !errors.Is(err, mapping.ErrNotFound) {
		return false, err
	}
	if err = saysElse(old, g); known && err != nil {
		return false, err
	}
	before, err := s.Head(ctx, rec.RoomID)
	if err != nil {
		return false, err
	}
	now, err := s.MapGroup(ctx, g)
	if err != nil {
		return false, err
	}
	if !known && (isFalse(rec.ToMatrix) || isFalse(rec.ToTencent)) {
		if err = s.SetSwitches(ctx, now.Key, !isFalse(rec.ToMatrix), !isFalse(rec.ToTencent)); err != nil {
			return false, err
		}
	}
	changed = !known || old != now
	if old.RoomID == "" && rec.RoomID != "" || rec.LinkedPos != nil && !old.LinkedPosKnown {
		linked := sql.NullInt64{Valid: rec.LinkedPos != nil}
		if linked.Valid {
			linked.Int64 = int64(*rec.LinkedPos)
		}
		if err = s.updateGroup(ctx, now.Key, `UPDATE tim_group SET linked_pos = $2 WHERE group_key = $1`, linked); err != nil {
			return false, err
		}
		changed = true
	}
	if rec.LastSeq > now.LastSeq {
		if err = s.updateGroup(ctx, now.Key, `UPDATE tim_group SET last_seq = $2 WHERE group_key = $1`, rec.LastSeq); err != nil {
			return false, err
		}
		changed = true
	}
	if rec.Head > before {
		if _, err = s.db.Exec(ctx, `UPDATE tim_room SET last_pos = $2 WHERE room_id = $1`, rec.RoomID, rec.Head); err != nil {
			return false, fmt.Errorf("failed to update room: %w", err)
		}
		changed = true
	}
	return changed, nil
}

// saysElse returns a conflict if g says something else of a known group.
func saysElse(old, g mapping.Group) error {
	what := ""
	switch {
	case old.SeqSource != g.SeqSource:
		what = "seq source " + string(old.SeqSource)
	case g.Type != "" && old.Type != "" && g.Type != old.Type:
		what = "type " + old.Type
	case g.Name != "" && old.Name != "" && g.Name != old.Name:
		what = "another name"
	default:
		return nil
	}
	return &mapping.ConflictError{What: "group", Key: quote(g.GroupID), Holder: "known with " + what}
}

func isFalse(b *bool) bool { return b != nil && !*b }

func (s *Store) importUsers(ctx context.Context, recs []mapping.Record) (int, map[int]error, error) {
	us := make([]mapping.User, len(recs))
	aliasOf := make([]string, len(recs))
	for i, rec := range recs {
		kind, _ := mapping.ParseKind(rec.Kind)
		us[i] = mapping.User{UserID: rec.UserID, MXID: rec.MXID, Kind: kind}
		aliasOf[i] = rec.AliasOf
	}
	return s.putUsers(ctx, us, aliasOf)
}

func (s *Store) importMessages(ctx context.Context, recs []mapping.Record) (news int, refused map[int]error, err error) {
	groups, users, err := s.keysOf(ctx, recs)
	if err != nil {
		return 0, nil, err
	}
	refused = make(map[int]error)
	ms := make([]mapping.Message, len(recs))
	for i, rec := range recs {
		if ms[i].Group = groups[rec.GroupID]; ms[i].Group == 0 {
			refused[i] = fmt.Errorf("group %s %w; its record must come before", quote(rec.GroupID), mapping.ErrNotFound)
		} else if ms[i].Sender = users[rec.Sender]; rec.Sender != "" && ms[i].Sender == 0 {
			refused[i] = fmt.Errorf("user %s %w; his record must come before", quote(rec.Sender), mapping.ErrNotFound)
		}
		fillMessage(&ms[i], rec)
	}
	if len(refused) > 0 {
		return 0, refused, nil
	}
	changed, refused, err := s.put(ctx, ms, func(i int) bool { return recs[i].Pos == nil })
	for _, c := range changed {
		if c {
			news++
		}
	}
	return news, refused, err
}

func fillMessage(m *mapping.Message, rec mapping.Record) {
	m.Seq, m.RoomID, m.EventID, m.MsgID = rec.Seq, rec.RoomID, rec.EventID.String(), rec.MsgID
	m.Thread, m.Recalled, m.OnlineOnly = rec.Thread.String(), rec.Recalled, rec.OnlineOnly
	if rec.Pos != nil {
		m.Pos = *rec.Pos
	}
	m.Wants, _ = mapping.ParseWants(rec.Wants)
	if rec.Random != nil {
		m.Random, m.HasRandom = *rec.Random, true
	}
	if rec.At != nil {
		m.At = time.UnixMilli(*rec.At)
	}
}

// keysOf returns the keys of the groups and users that records name and that exist.
func (s *Store) keysOf(ctx context.Context, recs []mapping.Record) (map[string]mapping.GroupKey, map[string]mapping.UserKey, error) {
	groups := make(map[string]mapping.GroupKey)
	users := make(map[string]mapping.UserKey)
	for _, rec := range recs {
		groups[rec.GroupID] = 0
		for _, userID := range [2]string{rec.UserID, rec.Sender} {
			if userID != "" {
				users[userID] = 0
			}
		}
	}
	found, err := s.UsersByID(ctx, slices.Collect(maps.Keys(users)))
	if err != nil {
		return nil, nil, err
	}
	for userID, u := range found {
		users[userID] = u.Key
	}
	for groupID := range groups {
		g, err := s.GroupByID(ctx, groupID)
		if err != nil && !errors.Is(err, mapping.ErrNotFound) {
			return nil, nil, err
		}
		groups[groupID] = g.Key
	}
	return groups, users, nil
}

func (s *Store) importMembers(ctx context.Context, recs []mapping.Record) (news int, refused map[int]error, err error) {
	groups, users, err := s.keysOf(ctx, recs)
	if err != nil {
		return 0, nil, err
	}
	refused = make(map[int]error)
	known := make(map[mapping.GroupKey]map[mapping.UserKey][]stay)
	want := make(map[mapping.GroupKey][]mapping.UserKey)
	for _, rec := range recs {
		want[groups[rec.GroupID]] = append(want[groups[rec.GroupID]], users[rec.UserID])
	}
	for group, keys := range want {
		found, err := s.stays(ctx, group, keys)
		if err != nil {
			return 0, nil, err
		}
		known[group] = make(map[mapping.UserKey][]stay)
		for _, m := range found {
			known[group][m.user] = append(known[group][m.user], m)
		}
	}
	for i, rec := range recs {
		group, user := groups[rec.GroupID], users[rec.UserID]
		if group == 0 {
			refused[i] = fmt.Errorf("group %s %w; its record must come before", quote(rec.GroupID), mapping.ErrNotFound)
			continue
		} else if user == 0 {
			refused[i] = fmt.Errorf("user %s %w; his record must come before", quote(rec.UserID), mapping.ErrNotFound)
			continue
		}
		m := stay{user, 1, intervalOf(rec)}
		same, err := fits(rec, m.Interval, known[group][user])
		if err != nil {
			refused[i] = err
			continue
		} else if same {
			continue
		}
		for _, o := range known[group][user] {
			m.n = max(m.n, o.n+1)
		}
		known[group][user] = append(known[group][user], m)
		if len(refused) > 0 {
			continue // nothing will be stored
		} else if err = s.insertStay(ctx, group, m); err != nil {
			return 0, nil, fmt.Errorf("failed to insert member: %w", err)
		}
		news++
	}
	return news, refused, nil
}

func intervalOf(rec mapping.Record) receipts.Interval {
	i := receipts.Interval{JoinedSeq: rec.JoinedSeq}
	if rec.JoinedPos != nil {
		i.JoinedPos, i.JoinedPosKnown = *rec.JoinedPos, true
	}
	if rec.LeftSeq != nil {
		i.Left, i.LeftSeq = true, *rec.LeftSeq
		if rec.LeftPos != nil {
			i.LeftPos = *rec.LeftPos
		}
	}
	return i
}

// fits reports whether a stay is known already, and returns a conflict if it cannot
// be beside the known ones.
func fits(rec mapping.Record, m receipts.Interval, known []stay) (same bool, err error) {
	for _, o := range known {
		if o.Interval == m {
			return true, nil
		}
	}
	for _, o := range known {
		if (!o.Left || m.JoinedSeq < o.LeftSeq) && (!m.Left || o.JoinedSeq < m.LeftSeq) {
			return false, &mapping.ConflictError{What: "user", Key: quote(rec.UserID), Holder: fmt.Sprintf("in group %s from after message %d on", quote(rec.GroupID), o.JoinedSeq)}
		}
	}
	return false, nil
}
