package mappingdb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// messageSelect returns what callers see: a place counts only in the group's
// current room, and an alias is the person whose alias he is.
const messageSelect = `SELECT m.group_key, m.seq, CASE WHEN m.room_key = g.room_key THEN m.pos END, r.room_id, m.event_id, m.msg_id, m.thread,
	COALESCE(u.alias_of, m.sender), m.random, m.flags, m.at_ms
	FROM tim_message m JOIN tim_group g ON g.group_key = m.group_key
	LEFT JOIN tim_room r ON r.room_key = m.room_key LEFT JOIN tim_user u ON u.user_key = m.sender `

// inRoom limits messages to those of a group ($1) in its current room, by place. The
// sign keeps SQLite from walking the group by seq: places are the shorter way.
const inRoom = `WHERE m.room_key = (SELECT room_key FROM tim_group WHERE group_key = $1) AND +m.group_key = $1 `

func scanMessage(row dbutil.Scannable) (m mapping.Message, err error) {
	var pos, sender, random, at sql.NullInt64
	var room sql.NullString
	var event, msgID, thread []byte
	var flags int64
	err = row.Scan(&m.Group, &m.Seq, &pos, &room, &event, &msgID, &thread, &sender, &random, &flags, &at)
	m.Pos, m.RoomID, m.Sender = receipts.Pos(pos.Int64), id.RoomID(room.String), mapping.UserKey(sender.Int64)
	m.EventID, m.MsgID, m.Thread = unpackEvent(event), unpackMsgID(msgID), unpackEvent(thread)
	m.Random, m.HasRandom = uint32(random.Int64), random.Valid
	m.Wants, m.Recalled, m.OnlineOnly = wantsOf(flags), flags&flagRecalled != 0, flags&flagOnlineOnly != 0
	m.At = fromMillis(at)
	return m, err
}

func (s *Store) messages(ctx context.Context, where string, a ...any) (out []mapping.Message, err error) {
	rows, err := s.db.Query(ctx, messageSelect+where, a...)
	err = each(rows, err, func(row dbutil.Scannable) error {
		m, err := scanMessage(row)
		out = append(out, m)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get messages: %w", err)
	}
	return out, nil
}

// MessagesByEvent returns those of the events that are messages, of any group.
func (s *Store) MessagesByEvent(ctx context.Context, events []id.EventID) (map[id.EventID]mapping.Message, error) {
	out := make(map[id.EventID]mapping.Message, len(events))
	err := s.messagesIn(ctx, "m.event_id", packEvents(events), func(m mapping.Message) { out[id.EventID(m.EventID)] = m })
	return out, err
}

// MessagesByMsgID returns the messages with these IDs that are known, of any group.
func (s *Store) MessagesByMsgID(ctx context.Context, msgIDs []string) (map[string]mapping.Message, error) {
	packed := make([][]byte, 0, len(msgIDs))
	for _, msgID := range unique(msgIDs) {
		if msgID != "" {
			packed = append(packed, packMsgID(msgID))
		}
	}
	out := make(map[string]mapping.Message, len(msgIDs))
	err := s.messagesIn(ctx, "m.msg_id", packed, func(m mapping.Message) { out[m.MsgID] = m })
	return out, err
}

func (s *Store) messagesIn(ctx context.Context, column string, keys [][]byte, fn func(mapping.Message)) error {
	for chunk := range slices.Chunk(keys, maxIn) {
		var a args
		where := in(s, &a, `WHERE `+column, chunk)
		found, err := s.messages(ctx, where, a...)
		if err != nil {
			return err
		}
		for _, m := range found {
			fn(m)
		}
	}
	return nil
}

// MessagesBySeq returns those of the seqs that are known, in rising order, at most
// limit of them (all, if limit is 0).
func (s *Store) MessagesBySeq(ctx context.Context, group mapping.GroupKey, seqs receipts.Set, limit int) (out []mapping.Message, err error) {
	most := limited(limit)
	for part := range seqParts(seqs) {
		if int64(len(out)) >= most {
			break
		}
		a := args{group}
		where := `WHERE m.group_key = $1 AND ` + part.where(s, "m.seq", &a) + ` ORDER BY m.seq LIMIT `
		found, err := s.messages(ctx, where+a.add(most-int64(len(out))), a...)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	return out, nil
}

// MessagesBetween returns the messages of a group at places after < pos <= to of
// its current room, in rising order, at most limit (all, if limit is 0).
func (s *Store) MessagesBetween(ctx context.Context, group mapping.GroupKey, after, to receipts.Pos, limit int) ([]mapping.Message, error) {
	return s.messages(ctx, inRoom+`AND m.pos > $2 AND m.pos <= $3 ORDER BY m.pos LIMIT $4`, group, after, to, limited(limit))
}

// MessagesBelow returns the messages of a group at or below a place of its current
// room, in falling order, at most limit (all, if limit is 0).
func (s *Store) MessagesBelow(ctx context.Context, group mapping.GroupKey, atOrBelow receipts.Pos, limit int) ([]mapping.Message, error) {
	return s.messages(ctx, inRoom+`AND m.pos <= $2 ORDER BY m.pos DESC LIMIT $3`, group, atOrBelow, limited(limit))
}

// MessagesPage returns the messages of a group below a seq (from the newest on, if
// it is 0), with or without an event, newest first, at most limit (all, if limit is 0).
func (s *Store) MessagesPage(ctx context.Context, group mapping.GroupKey, before receipts.MsgSeq, limit int) ([]mapping.Message, error) {
	if before == 0 || before > maxSeq {
		before = maxSeq // the very last number is lost, which nobody gets to
	}
	return s.messages(ctx, `WHERE m.group_key = $1 AND m.seq < $2 ORDER BY m.seq DESC LIMIT $3`, group, before, limited(limit))
}

// MessageAt returns the message of a group at a place of its current room, or
// mapping.ErrNotFound.
func (s *Store) MessageAt(ctx context.Context, group mapping.GroupKey, pos receipts.Pos) (mapping.Message, error) {
	return one(s.messages(ctx, inRoom+`AND m.pos = $2`, group, pos))
}

// recentMessages is how far back MessageByRandom looks.
const recentMessages = 2000

// MessageByRandom returns the newest message of a group with a MsgRandom that was
// sent by a user at or after since, or mapping.ErrNotFound. It looks among the last
// 2,000 messages only: a random is for recognising what was sent just now.
func (s *Store) MessageByRandom(ctx context.Context, group mapping.GroupKey, sender mapping.UserKey, random uint32, since time.Time) (mapping.Message, error) {
	return one(s.messages(ctx, `WHERE m.group_key = $1 AND m.seq > (SELECT last_seq FROM tim_group WHERE group_key = $1) - $2
		AND m.random = $3 AND COALESCE(u.alias_of, m.sender) = $4 AND m.at_ms >= $5 ORDER BY m.seq DESC LIMIT 1`,
		group, recentMessages, int64(random), sender, since.UnixMilli()))
}

func one(found []mapping.Message, err error) (mapping.Message, error) {
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("message %w", mapping.ErrNotFound)
	}
	if err != nil {
		return mapping.Message{}, err
	}
	return found[0], nil
}

// Entries returns what stands in a group's current room above a place, in rising
// order: its messages, and the gaps that may still become some. It returns at most
// limit (all, if limit is 0), or a few more if the last place is shared. Between
// the first and the last nothing is left out, so the next page goes on above the last.
func (s *Store) Entries(ctx context.Context, group mapping.GroupKey, after receipts.Pos, limit int) ([]receipts.Entry, error) {
	found, err := s.messages(ctx, inRoom+`AND m.pos > $2 ORDER BY m.pos LIMIT $3`, group, after, limited(limit))
	if err != nil {
		return nil, err
	}
	out := make([]receipts.Entry, 0, len(found))
	for _, m := range found {
		out = append(out, receipts.Entry{Message: m.Message})
	}
	// Beyond the last message of a full page there may be messages that are not in it.
	to := receipts.Pos(1<<63 - 1)
	if limit > 0 && len(found) == limit {
		to = found[limit-1].Pos
	}
	rows, err := s.db.Query(ctx, `SELECT pos, event_id, thread, gap_ms FROM tim_anchor
		WHERE room_key = (SELECT room_key FROM tim_group WHERE group_key = $1) AND pos > $2 AND pos <= $3 AND gap_ms IS NOT NULL ORDER BY pos`, group, after, to)
	err = each(rows, err, func(row dbutil.Scannable) error {
		var event, thread []byte
		var at sql.NullInt64
		e := receipts.Entry{Gap: true}
		err := row.Scan(&e.Pos, &event, &thread, &at)
		e.EventID, e.Thread, e.At = unpackEvent(event), unpackEvent(thread), fromMillis(at)
		out = append(out, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get gaps: %w", err)
	}
	slices.SortStableFunc(out, func(a, b receipts.Entry) int { return cmp.Compare(a.Pos, b.Pos) })
	if limit > 0 && len(out) > limit {
		end := limit
		for end < len(out) && out[end].Pos == out[limit-1].Pos {
			end++
		}
		out = out[:end]
	}
	return out, nil
}
