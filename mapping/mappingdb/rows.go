package mappingdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// Bits of tim_message.flags. The lowest two are receipts.Wants.
const (
	flagWants      = 0b0011
	flagRecalled   = 0b0100
	flagOnlineOnly = 0b1000
)

// rowKey is the primary key of tim_message.
type rowKey struct {
	group mapping.GroupKey
	seq   receipts.MsgSeq
}

// messageRow is a row of tim_message as it is stored. Event, msgID and thread are
// in their stored form, "" for NULL.
type messageRow struct {
	rowKey
	room   int64 // 0: none
	pos    receipts.Pos
	event  string
	msgID  string
	thread string
	sender mapping.UserKey
	random sql.NullInt64
	flags  int64
	atMS   sql.NullInt64
}

const rowSelect = `SELECT group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms FROM tim_message `

func scanRow(row dbutil.Scannable) (r messageRow, err error) {
	var room, pos, sender sql.NullInt64
	var event, msgID, thread []byte
	err = row.Scan(&r.group, &r.seq, &room, &pos, &event, &msgID, &thread, &sender, &r.random, &r.flags, &r.atMS)
	r.room, r.pos, r.sender = room.Int64, receipts.Pos(pos.Int64), mapping.UserKey(sender.Int64)
	r.event, r.msgID, r.thread = string(event), string(msgID), string(thread)
	return r, err
}

func (r messageRow) values() []any {
	return []any{r.group, r.seq, nonZero(r.room), nonZero(r.pos), bytesOf(r.event), bytesOf(r.msgID), bytesOf(r.thread), nonZero(r.sender), r.random, r.flags, r.atMS}
}

// bytesOf returns nil, which is NULL, for "".
func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func (s *Store) insertRows(ctx context.Context, rows []*messageRow) error {
	for chunk := range slices.Chunk(rows, maxRows) {
		a := make(args, 0, 11*len(chunk))
		var b strings.Builder
		b.WriteString(`INSERT INTO tim_message (group_key, seq, room_key, pos, event_id, msg_id, thread, sender, random, flags, at_ms) VALUES `)
		for i, r := range chunk {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('(')
			b.WriteString(list(&a, r.values()))
			b.WriteByte(')')
		}
		if _, err := s.db.Exec(ctx, b.String(), a...); err != nil {
			return fmt.Errorf("failed to insert messages: %w", err)
		}
	}
	return nil
}

func (s *Store) updateRow(ctx context.Context, r *messageRow) error {
	_, err := s.db.Exec(ctx, `UPDATE tim_message SET room_key = $3, pos = $4, event_id = $5, msg_id = $6, thread = $7, sender = $8, random = $9, flags = $10, at_ms = $11
		WHERE group_key = $1 AND seq = $2`, r.values()...)
	if err != nil {
		return fmt.Errorf("failed to update message: %w", err)
	}
	return nil
}

// rowsWhere reads the rows whose column has one of the keys; where is what comes before the list.
func rowsWhere[K any](ctx context.Context, s *Store, where string, fixed args, keys []K, fn func(messageRow)) error {
	for chunk := range slices.Chunk(keys, maxIn) {
		a := slices.Clone(fixed)
		rows, err := s.db.Query(ctx, rowSelect+in(s, &a, where, chunk), a...)
		err = each(rows, err, func(row dbutil.Scannable) error {
			r, err := scanRow(row)
			fn(r)
			return err
		})
		if err != nil {
			return fmt.Errorf("failed to get messages: %w", err)
		}
	}
	return nil
}

func packFlags(m receipts.Message) int64 {
	flags := int64(m.Wants) & flagWants
	if m.Recalled {
		flags |= flagRecalled
	}
	if m.OnlineOnly {
		flags |= flagOnlineOnly
	}
	return flags
}

// mergeFlags returns what is known of a message after more is learnt. News may come
// in any order and must end the same, so it only adds: recalled stays recalled, and
// of two words about the receipt the one that asks for it stays.
func mergeFlags(old, news int64) int64 {
	merged := (old | news) &^ flagWants
	a, b := receipts.Wants(old&flagWants), receipts.Wants(news&flagWants)
	switch {
	case a == receipts.WantsYes || b == receipts.WantsYes:
		return merged | int64(receipts.WantsYes)
	case a == receipts.WantsNo || b == receipts.WantsNo:
		return merged | int64(receipts.WantsNo)
	default:
		return merged
	}
}
