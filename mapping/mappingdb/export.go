package mappingdb

import (
	"context"
	"database/sql"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// ExportRecords implements mapping.ExportStore. It reads one state of the database,
// while others go on writing.
func (s *Store) ExportRecords(ctx context.Context, fn func(mapping.Record) error) error {
	opts := &dbutil.TxnOptions{ReadOnly: true}
	if s.db.Dialect == dbutil.Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return s.db.DoTxn(ctx, opts, func(ctx context.Context) error {
		groups, err := s.Groups(ctx, "", 0)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if err = s.exportGroup(ctx, g, fn); err != nil {
				return err
			}
		}
		if err = s.exportUsers(ctx, fn); err != nil {
			return err
		}
		for _, g := range groups {
			if err = s.exportMembers(ctx, g, fn); err != nil {
				return err
			}
		}
		for _, g := range groups {
			if err = s.exportMessages(ctx, g, fn); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) exportGroup(ctx context.Context, g mapping.Group, fn func(mapping.Record) error) error {
	rec := mapping.Record{
		Type: mapping.RecordGroup, GroupID: g.GroupID, RoomID: g.RoomID, SeqSource: g.SeqSource, GroupType: g.Type, Name: g.Name, LastSeq: g.LastSeq,
	}
	if g.LinkedPosKnown {
		rec.LinkedPos = &g.LinkedPos
	}
	no := false
	if !g.ToMatrix {
		rec.ToMatrix = &no
	}
	if !g.ToTencent {
		rec.ToTencent = &no
	}
	var err error
	if rec.Head, err = s.Head(ctx, g.RoomID); err != nil {
		return err
	}
	return fn(rec)
}

func (s *Store) exportUsers(ctx context.Context, fn func(mapping.Record) error) error {
	// An alias names its linked user, who comes before.
	rows, err := s.db.Query(ctx, `SELECT u.user_id, u.mxid, u.kind, a.user_id FROM tim_user u LEFT JOIN tim_user a ON a.user_key = u.alias_of
		ORDER BY CASE WHEN u.alias_of IS NULL THEN 0 ELSE 1 END, u.user_id`)
	err = each(rows, err, func(row dbutil.Scannable) error {
		rec := mapping.Record{Type: mapping.RecordUser}
		var mxid, alias sql.NullString
		var kind receipts.Kind
		if err := row.Scan(&rec.UserID, &mxid, &kind, &alias); err != nil {
			return err
		}
		rec.MXID, rec.Kind, rec.AliasOf = id.UserID(mxid.String), kind.String(), alias.String
		return fn(rec)
	})
	if err != nil {
		return fmt.Errorf("failed to read users: %w", err)
	}
	return nil
}

func (s *Store) exportMembers(ctx context.Context, g mapping.Group, fn func(mapping.Record) error) error {
	rows, err := s.db.Query(ctx, `SELECT u.user_id, m.joined_seq, m.joined_pos, m.left_seq, m.left_pos FROM tim_member m JOIN tim_user u ON u.user_key = m.user_key
		WHERE m.group_key = $1 ORDER BY u.user_id, m.joined_seq, m.left_seq IS NULL, m.left_seq, m.left_pos, m.stay`, g.Key)
	err = each(rows, err, func(row dbutil.Scannable) error {
		rec := mapping.Record{Type: mapping.RecordMember, GroupID: g.GroupID}
		var joinedPos, leftSeq, leftPos sql.NullInt64
		if err := row.Scan(&rec.UserID, &rec.JoinedSeq, &joinedPos, &leftSeq, &leftPos); err != nil {
			return err
		}
		if joinedPos.Valid {
			pos := receipts.Pos(joinedPos.Int64)
			rec.JoinedPos = &pos
		}
		if leftSeq.Valid {
			seq, pos := receipts.MsgSeq(leftSeq.Int64), receipts.Pos(leftPos.Int64)
			rec.LeftSeq, rec.LeftPos = &seq, &pos
		}
		return fn(rec)
	})
	if err != nil {
		return fmt.Errorf("failed to read members: %w", err)
	}
	return nil
}

func (s *Store) exportMessages(ctx context.Context, g mapping.Group, fn func(mapping.Record) error) error {
	rows, err := s.db.Query(ctx, `SELECT m.seq, r.room_id, m.pos, m.event_id, m.msg_id, m.thread, u.user_id, m.random, m.flags, m.at_ms
		FROM tim_message m LEFT JOIN tim_room r ON r.room_key = m.room_key LEFT JOIN tim_user u ON u.user_key = m.sender
		WHERE m.group_key = $1 ORDER BY m.seq`, g.Key)
	err = each(rows, err, func(row dbutil.Scannable) error {
		rec := mapping.Record{Type: mapping.RecordMessage, GroupID: g.GroupID}
		var room, sender sql.NullString
		var pos, random, at sql.NullInt64
		var event, msgID, thread []byte
		var flags int64
		if err := row.Scan(&rec.Seq, &room, &pos, &event, &msgID, &thread, &sender, &random, &flags, &at); err != nil {
			return err
		}
		if rec.RoomID = id.RoomID(room.String); rec.RoomID == g.RoomID {
			rec.RoomID = ""
		}
		if len(event) > 0 {
			place := receipts.Pos(pos.Int64) // 0, not absent: import must not give it one
			rec.Pos = &place
		}
		rec.EventID, rec.MsgID, rec.Thread = id.EventID(unpackEvent(event)), unpackMsgID(msgID), id.EventID(unpackEvent(thread))
		rec.Sender, rec.Recalled, rec.OnlineOnly = sender.String, flags&flagRecalled != 0, flags&flagOnlineOnly != 0
		if wants := wantsOf(flags); wants != receipts.WantsUnknown {
			rec.Wants = wants.String()
		}
		if random.Valid {
			r := uint32(random.Int64)
			rec.Random = &r
		}
		if at.Valid {
			rec.At = &at.Int64
		}
		return fn(rec)
	})
	if err != nil {
		return fmt.Errorf("failed to read messages: %w", err)
	}
	return nil
}
