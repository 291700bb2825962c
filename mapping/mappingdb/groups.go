package mappingdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

const groupSelect = `SELECT g.group_key, g.group_id, r.room_id, g.seq_source, g.type, g.name, g.last_seq, g.linked_pos, g.to_matrix, g.to_tencent
	FROM tim_group g LEFT JOIN tim_room r ON r.room_key = g.room_key `

func scanGroup(row dbutil.Scannable) (g mapping.Group, err error) {
	var room sql.NullString
	var linked sql.NullInt64
	err = row.Scan(&g.Key, &g.GroupID, &room, &g.SeqSource, &g.Type, &g.Name, &g.LastSeq, &linked, &g.ToMatrix, &g.ToTencent)
	g.RoomID, g.LinkedPos, g.LinkedPosKnown = id.RoomID(room.String), receipts.Pos(linked.Int64), linked.Valid
	return g, err
}

func (s *Store) group(ctx context.Context, where string, key any) (mapping.Group, error) {
	g, err := scanGroup(s.db.QueryRow(ctx, groupSelect+where, key))
	if errors.Is(err, sql.ErrNoRows) {
		return mapping.Group{}, fmt.Errorf("group %w", mapping.ErrNotFound)
	} else if err != nil {
		return mapping.Group{}, fmt.Errorf("failed to get group: %w", err)
	}
	return g, nil
}

// GroupByID returns the group with a Tencent group ID, or mapping.ErrNotFound.
func (s *Store) GroupByID(ctx context.Context, groupID string) (mapping.Group, error) {
	return s.group(ctx, "WHERE g.group_id = $1", groupID)
}

// GroupByRoom returns the group that a room is mapped to now, or mapping.ErrNotFound.
func (s *Store) GroupByRoom(ctx context.Context, roomID id.RoomID) (mapping.Group, error) {
	return s.group(ctx, "WHERE r.room_id = $1", roomID)
}

// GroupByKey returns the group with a key, or mapping.ErrNotFound.
func (s *Store) GroupByKey(ctx context.Context, key mapping.GroupKey) (mapping.Group, error) {
	return s.group(ctx, "WHERE g.group_key = $1", key)
}

// Groups returns up to limit groups (all, if limit is 0) in order of their group
// ID, those after the given one. Groups that are mapped to no room now are among them.
func (s *Store) Groups(ctx context.Context, after string, limit int) ([]mapping.Group, error) {
	var out []mapping.Group
	rows, err := s.db.Query(ctx, groupSelect+"WHERE g.group_id > $1 ORDER BY g.group_id LIMIT $2", after, limited(limit))
	err = each(rows, err, func(row dbutil.Scannable) error {
		g, err := scanGroup(row)
		out = append(out, g)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get groups: %w", err)
	}
	return out, nil
}

// MapGroup maps a group to a room. The group is made if it is new, with both
// switches on, whatever g says of them; else it must not be mapped to another room,
// and its SeqSource must be the same (cloud may become own). With an empty RoomID
// the group is only made known. Its LinkedPos becomes the given one if
// LinkedPosKnown, else the head of the room. A Type or Name that is not empty is
// taken over. Mapping the same pair again changes nothing else.
//
// It returns the group as it is now, a mapping.ConflictError if the group or the
// room is mapped elsewhere, and mapping.ErrInvalid for malformed ids.
func (s *Store) MapGroup(ctx context.Context, g mapping.Group) (mapping.Group, error) {
	if err := mapping.ValidateGroup(g); err != nil {
		return mapping.Group{}, err
	}
	var out mapping.Group
	err := s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		old, err := s.GroupByID(ctx, g.GroupID)
		known := err == nil
		if err != nil && !errors.Is(err, mapping.ErrNotFound) {
			return err
		}
		if err = s.mayMap(ctx, g, old, known); err != nil {
			return err
		}
		if !known {
			if _, err = s.db.Exec(ctx, `INSERT INTO tim_group (group_id, seq_source, type, name) VALUES ($1, $2, $3, $4)`,
				g.GroupID, g.SeqSource, g.Type, g.Name); err != nil {
				return fmt.Errorf("failed to insert group: %w", err)
			}
			if old, err = s.GroupByID(ctx, g.GroupID); err != nil {
				return err
			}
		}
		if err = s.describe(ctx, g, old); err != nil {
			return err
		}
		if g.RoomID != "" && old.RoomID == "" {
			if err = s.setRoom(ctx, old.Key, g.RoomID, g.LinkedPos, g.LinkedPosKnown); err != nil {
				return err
			}
		}
		out, err = s.GroupByKey(ctx, old.Key)
		return err
	})
	return out, err
}

// mayMap says what stands in the way of mapping g.
func (s *Store) mayMap(ctx context.Context, g, old mapping.Group, known bool) error {
	if known && old.RoomID != "" && g.RoomID != "" && old.RoomID != g.RoomID {
		return &mapping.ConflictError{What: "group", Key: quote(g.GroupID), Holder: "mapped to room " + old.RoomID.String()}
	}
	if known && !old.SeqSource.Becomes(g.SeqSource) {
		return &mapping.ConflictError{What: "group", Key: quote(g.GroupID), Holder: fmt.Sprintf("known with seq source %s, which cannot become %s", old.SeqSource, g.SeqSource)}
	}
	return s.roomFree(ctx, g.RoomID, old.Key)
}

// roomFree returns a conflict if the room is mapped to another group than key.
func (s *Store) roomFree(ctx context.Context, roomID id.RoomID, key mapping.GroupKey) error {
	if roomID == "" {
		return nil
	}
	holder, err := s.GroupByRoom(ctx, roomID)
	if errors.Is(err, mapping.ErrNotFound) || err == nil && holder.Key == key {
		return nil
	} else if err != nil {
		return err
	}
	return &mapping.ConflictError{What: "room", Key: roomID.String(), Holder: "mapped to group " + quote(holder.GroupID)}
}

// describe takes over what may change of a known group.
func (s *Store) describe(ctx context.Context, g, old mapping.Group) error {
	if g.Type == "" {
		g.Type = old.Type
	}
	if g.Name == "" {
		g.Name = old.Name
	}
	if g.Type == old.Type && g.Name == old.Name && g.SeqSource == old.SeqSource {
		return nil
	}
	_, err := s.db.Exec(ctx, `UPDATE tim_group SET type = $2, name = $3, seq_source = $4 WHERE group_key = $1`, old.Key, g.Type, g.Name, g.SeqSource)
	if err != nil {
		return fmt.Errorf("failed to update group: %w", err)
	}
	return nil
}

func (s *Store) setRoom(ctx context.Context, key mapping.GroupKey, roomID id.RoomID, linked receipts.Pos, linkedKnown bool) error {
	room, err := s.lockRoom(ctx, roomID)
	if err != nil {
		return err
	}
	if !linkedKnown {
		linked = room.last
	}
	if _, err = s.db.Exec(ctx, `UPDATE tim_group SET room_key = $2, linked_pos = $3 WHERE group_key = $1`, key, room.key, linked); err != nil {
		return fmt.Errorf("failed to set room of group: %w", err)
	}
	return nil
}

// UnmapGroup takes a group's room away. Its messages stay known, without a place
// (Pos 0), and have it again if the group is mapped to the same room once more. A
// group that has no room stays as it is; mapping.ErrNotFound if there is no such group.
func (s *Store) UnmapGroup(ctx context.Context, key mapping.GroupKey) error {
	return s.updateGroup(ctx, key, `UPDATE tim_group SET room_key = NULL, linked_pos = NULL WHERE group_key = $1`)
}

// MoveGroup maps a group to another room in one step, as a room upgrade does.
// linkedPos is the last place in the new room that does not count. It returns a
// mapping.ConflictError if the room is another group's.
func (s *Store) MoveGroup(ctx context.Context, key mapping.GroupKey, to id.RoomID, linkedPos receipts.Pos) error {
	if err := mapping.ValidateRoomID(to); err != nil {
		return err
	}
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		g, err := s.GroupByKey(ctx, key)
		if err != nil {
			return err
		} else if g.RoomID == to {
			return nil
		} else if err = s.roomFree(ctx, to, key); err != nil {
			return err
		}
		return s.setRoom(ctx, key, to, linkedPos, true)
	})
}

// SetSwitches says in which directions receipts of a group flow.
func (s *Store) SetSwitches(ctx context.Context, key mapping.GroupKey, toMatrix, toTencent bool) error {
	return s.updateGroup(ctx, key, `UPDATE tim_group SET to_matrix = $2, to_tencent = $3 WHERE group_key = $1`, toMatrix, toTencent)
}

// RaiseSeq says that the group has messages up to seq, whether they are known or not. It never goes down.
func (s *Store) RaiseSeq(ctx context.Context, key mapping.GroupKey, seq receipts.MsgSeq) error {
	if seq > maxSeq {
		return fmt.Errorf("%w seq %d: out of range", mapping.ErrInvalid, seq)
	}
	return s.updateGroup(ctx, key, `UPDATE tim_group SET last_seq = CASE WHEN last_seq < $2 THEN $2 ELSE last_seq END WHERE group_key = $1`, seq)
}

func (s *Store) updateGroup(ctx context.Context, key mapping.GroupKey, query string, params ...any) error {
	res, err := s.db.Exec(ctx, query, append([]any{key}, params...)...)
	if err != nil {
		return fmt.Errorf("failed to update group: %w", err)
	} else if n, err := res.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("group %w", mapping.ErrNotFound)
	}
	return nil
}

// NextSeq gives the next number of a group: one above the highest that any of its
// messages has or that was given before.
func (s *Store) NextSeq(ctx context.Context, key mapping.GroupKey) (receipts.MsgSeq, error) {
	return s.NextSeqs(ctx, key, 1)
}

// NextSeqs gives n numbers in a row and returns the first.
func (s *Store) NextSeqs(ctx context.Context, key mapping.GroupKey, n int) (receipts.MsgSeq, error) {
	if n < 1 {
		return 0, fmt.Errorf("%w number of seqs %d", mapping.ErrInvalid, n)
	}
	var last receipts.MsgSeq
	err := s.db.QueryRow(ctx, `UPDATE tim_group SET last_seq = last_seq + $2 WHERE group_key = $1 RETURNING last_seq`, key, n).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("group %w", mapping.ErrNotFound)
	} else if err != nil {
		return 0, fmt.Errorf("failed to give seq: %w", err)
	}
	return last - receipts.MsgSeq(n) + 1, nil
}

// Counts returns how much is mapped. It reads the groups and users, not the messages.
func (s *Store) Counts(ctx context.Context) (c mapping.Counts, err error) {
	err = s.db.QueryRow(ctx, `SELECT COUNT(*), COUNT(room_key), COALESCE(SUM(messages), 0), (SELECT COUNT(*) FROM tim_user) FROM tim_group`).
		Scan(&c.Groups, &c.Mapped, &c.Messages, &c.Users)
	if err != nil {
		return c, fmt.Errorf("failed to count: %w", err)
	}
	return c, nil
}

func quote(s string) string { return `"` + s + `"` }
