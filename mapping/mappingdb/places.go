package mappingdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

const (
	// keepAnchors is how many anchors of a room are kept at least.
	keepAnchors = 2000
	// anchorSlack is how many more there may be before some are thrown away: looking costs, so it is done rarely.
	anchorSlack = 250
)

type roomRow struct {
	key     int64
	last    receipts.Pos
	anchors int64
}

// lockRoom returns the row of a room, made if need be, for this transaction to change.
func (s *Store) lockRoom(ctx context.Context, roomID id.RoomID) (room roomRow, err error) {
	query := `SELECT room_key, last_pos, anchors FROM tim_room WHERE room_id = $1` + s.forUpdate
	err = s.db.QueryRow(ctx, query, roomID).Scan(&room.key, &room.last, &room.anchors)
	if errors.Is(err, sql.ErrNoRows) {
		if _, err = s.db.Exec(ctx, `INSERT INTO tim_room (room_id) VALUES ($1) ON CONFLICT (room_id) DO NOTHING`, roomID); err == nil {
			err = s.db.QueryRow(ctx, query, roomID).Scan(&room.key, &room.last, &room.anchors)
		}
	}
	if err != nil {
		return roomRow{}, fmt.Errorf("failed to get room: %w", err)
	}
	return room, nil
}

// Head returns the last place given in a room, 0 if none was.
func (s *Store) Head(ctx context.Context, roomID id.RoomID) (pos receipts.Pos, err error) {
	err = s.db.QueryRow(ctx, `SELECT last_pos FROM tim_room WHERE room_id = $1`, roomID).Scan(&pos)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	} else if err != nil {
		return 0, fmt.Errorf("failed to get head of room: %w", err)
	}
	return pos, nil
}

// Places returns where events stand that are known, in whatever room. Known is
// true in all of them. A message whose event was never seen in its room has Pos 0.
func (s *Store) Places(ctx context.Context, events []id.EventID) (map[id.EventID]mapping.Place, error) {
	out := make(map[id.EventID]mapping.Place, len(events))
	for chunk := range slices.Chunk(packEvents(events), maxIn) {
		// Messages second: they know better. Only where they have no place an anchor may.
		for _, table := range [2]string{"tim_anchor", "tim_message"} {
			var a args
			rows, err := s.db.Query(ctx, `SELECT t.event_id, r.room_id, t.pos, t.thread FROM `+table+` t JOIN tim_room r ON r.room_key = t.room_key WHERE `+in(s, &a, `t.event_id`, chunk), a...)
			err = each(rows, err, func(row dbutil.Scannable) error {
				var event, thread []byte
				var pos sql.NullInt64
				place := mapping.Place{Known: true}
				if err := row.Scan(&event, &place.RoomID, &pos, &thread); err != nil {
					return err
				}
				place.EventID, place.Pos, place.Thread = id.EventID(unpackEvent(event)), receipts.Pos(pos.Int64), unpackEvent(thread)
				if anchor, ok := out[place.EventID]; ok && !pos.Valid {
					place.Pos = anchor.Pos
				}
				out[place.EventID] = place
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("failed to get places of events: %w", err)
			}
		}
	}
	return out, nil
}

// Append gives places to events of a room, in the order in which they are given,
// to those that have none yet. It returns the place of each; Known is true for
// those that had one before. An event that is known from another room keeps that
// place and its RoomID: no event is in two rooms.
func (s *Store) Append(ctx context.Context, roomID id.RoomID, events []mapping.NewEvent) ([]mapping.Place, error) {
	if len(events) == 0 {
		return nil, nil
	}
	if err := mapping.ValidateRoomID(roomID); err != nil {
		return nil, err
	}
	ids := make([]id.EventID, len(events))
	for i, ev := range events {
		if ev.EventID == "" {
			return nil, fmt.Errorf("%w event ID: it is empty", mapping.ErrInvalid)
		}
		ids[i] = ev.EventID
	}
	var out []mapping.Place
	err := s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		places, err := s.Places(ctx, ids)
		if err != nil {
			return err
		}
		if isPlaced := func(ev id.EventID) bool { return !needsPlace(places, ev, roomID) }; !all(ids, isPlaced) {
			room, err := s.lockRoom(ctx, roomID)
			if err != nil {
				return err
			}
			// Another process may have placed them while we waited for the room.
			if s.forUpdate != "" {
				if places, err = s.Places(ctx, ids); err != nil {
					return err
				}
			}
			if err = s.place(ctx, roomID, room, events, places); err != nil {
				return err
			}
		}
		out = make([]mapping.Place, len(ids))
		for i, ev := range ids {
			out[i] = places[ev]
			// Given twice in one call, it is known the second time.
			again := places[ev]
			again.Known = true
			places[ev] = again
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("failed to append events: %w", err)
	}
	return out, nil
}

func needsPlace(places map[id.EventID]mapping.Place, ev id.EventID, roomID id.RoomID) bool {
	place, ok := places[ev]
	return !ok || place.Pos == 0 && place.RoomID == roomID
}

func all[T any](vs []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(vs, func(v T) bool { return !ok(v) })
}

// place gives the events that need one the next places of the room, and enters them into places.
func (s *Store) place(ctx context.Context, roomID id.RoomID, room roomRow, events []mapping.NewEvent, places map[id.EventID]mapping.Place) error {
	if err := s.placeNext(ctx, roomID, &room, events, places); err != nil {
		return err
	}
	return s.saveRoom(ctx, room)
}

func (s *Store) placeNext(ctx context.Context, roomID id.RoomID, room *roomRow, events []mapping.NewEvent, places map[id.EventID]mapping.Place) error {
	var anchors []anchorRow
	for _, ev := range events {
		if !needsPlace(places, ev.EventID, roomID) {
			continue
		}
		place, isMessage := places[ev.EventID]
		room.last++
		place.EventID, place.RoomID, place.Pos, place.Known = ev.EventID, roomID, room.last, false
		if isMessage {
			// Its mapping came before the event itself.
			if _, err := s.db.Exec(ctx, `UPDATE tim_message SET pos = $2 WHERE event_id = $1`, packEvent(ev.EventID.String()), room.last); err != nil {
				return fmt.Errorf("failed to place message: %w", err)
			}
		} else {
			place.Thread = ev.Thread
			anchors = append(anchors, newAnchor(room.key, room.last, ev))
		}
		places[ev.EventID] = place
	}
	room.anchors += int64(len(anchors))
	return s.insertAnchors(ctx, anchors)
}

// AnchorAt says where an event stands that was found by asking for it, so that it
// has no place of its own in the order of arrival: pos is that of the last event
// before it that has one. Should it turn out to be a message, it is one without a
// place of its own (Pos 0). If the event has a place already that one stays; a
// mapping.ConflictError says that it is in another room.
func (s *Store) AnchorAt(ctx context.Context, roomID id.RoomID, ev mapping.NewEvent, pos receipts.Pos) error {
	if err := mapping.ValidateRoomID(roomID); err != nil {
		return err
	} else if err = mapping.ValidateEventID(ev.EventID); err != nil {
		return err
	} else if pos < 0 {
		return fmt.Errorf("%w place %d", mapping.ErrInvalid, pos)
	}
	return s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		room, err := s.lockRoom(ctx, roomID)
		if err != nil {
			return err
		}
		places, err := s.Places(ctx, []id.EventID{ev.EventID})
		if err != nil {
			return err
		}
		if place, ok := places[ev.EventID]; ok && place.RoomID != roomID {
			return &mapping.ConflictError{What: "event", Key: ev.EventID.String(), Holder: "in room " + place.RoomID.String()}
		} else if ok && place.Pos != 0 {
			return nil
		}
		anchor := newAnchor(room.key, pos, ev)
		anchor.borrowed = true
		if _, isMessage := places[ev.EventID]; isMessage {
			anchor.gapMS = sql.NullInt64{} // its row stays beside the message, whose place this is not
		}
		if err = s.insertAnchors(ctx, []anchorRow{anchor}); err != nil {
			return err
		}
		room.anchors++
		room.last = max(room.last, pos)
		return s.saveRoom(ctx, room)
	})
}

// Unplaced returns the events of messages in a room that were sent since a time and
// have no place, at most limit (all, if limit is 0).
func (s *Store) Unplaced(ctx context.Context, roomID id.RoomID, since time.Time, limit int) (out []id.EventID, err error) {
	rows, err := s.db.Query(ctx, `SELECT event_id FROM tim_message m WHERE room_key = (SELECT room_key FROM tim_room WHERE room_id = $1)
		AND pos IS NULL AND event_id IS NOT NULL AND at_ms >= $2 LIMIT $3`, roomID, since.UnixMilli(), limited(limit))
	err = each(rows, err, func(row dbutil.Scannable) error {
		var event []byte
		err := row.Scan(&event)
		out = append(out, id.EventID(unpackEvent(event)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get messages without a place: %w", err)
	}
	return out, nil
}

// saveRoom writes the room's row, and throws old anchors away when there are clearly too many.
func (s *Store) saveRoom(ctx context.Context, room roomRow) error {
	if room.anchors > keepAnchors+anchorSlack {
		_, err := s.db.Exec(ctx, `DELETE FROM tim_anchor WHERE room_key = $1 AND pos < (SELECT pos FROM tim_anchor WHERE room_key = $1 ORDER BY pos DESC LIMIT 1 OFFSET $2)`, room.key, keepAnchors-1)
		if err != nil {
			return fmt.Errorf("failed to delete old anchors: %w", err)
		}
		// Those that became messages are gone as well: count what is left.
		if err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM tim_anchor WHERE room_key = $1`, room.key).Scan(&room.anchors); err != nil {
			return fmt.Errorf("failed to count anchors: %w", err)
		}
	}
	_, err := s.db.Exec(ctx, `UPDATE tim_room SET last_pos = $2, anchors = $3 WHERE room_key = $1`, room.key, room.last, room.anchors)
	if err != nil {
		return fmt.Errorf("failed to update room: %w", err)
	}
	return nil
}

type anchorRow struct {
	room   int64
	pos    receipts.Pos
	event  []byte
	thread []byte
	gapMS  sql.NullInt64
	// borrowed: pos is that of the event before.
	borrowed bool
}

func newAnchor(room int64, pos receipts.Pos, ev mapping.NewEvent) anchorRow {
	row := anchorRow{room: room, pos: pos, event: packEvent(ev.EventID.String()), thread: packEvent(ev.Thread)}
	if ev.Gap {
		row.gapMS = sql.NullInt64{Int64: ev.At.UnixMilli(), Valid: true}
	}
	return row
}

func (s *Store) insertAnchors(ctx context.Context, anchors []anchorRow) error {
	for chunk := range slices.Chunk(anchors, maxRows) {
		var a args
		values := make([]string, len(chunk))
		for i, r := range chunk {
			values[i] = "(" + list(&a, []any{r.room, r.pos, r.event, r.thread, r.gapMS, r.borrowed}) + ")"
		}
		if _, err := s.db.Exec(ctx, `INSERT INTO tim_anchor (room_key, pos, event_id, thread, gap_ms, borrowed) VALUES `+strings.Join(values, ","), a...); err != nil {
			return fmt.Errorf("failed to insert anchors: %w", err)
		}
	}
	return nil
}

// packEvents returns the stored forms of the events, each once, empty ones left out.
func packEvents(events []id.EventID) [][]byte {
	out := make([][]byte, 0, len(events))
	for _, ev := range unique(events) {
		if ev != "" {
			out = append(out, packEvent(ev.String()))
		}
	}
	return out
}
