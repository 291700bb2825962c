package bridge

import (
	"context"
	"encoding/json"
	"fmt"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// A group that is unlinked and linked again to the room that it had finds there what it left behind: its messages are in their places, and
// the room still shows the markers. Were that forgotten, one that is below would be sent: Synapse ignores it, so that it would wait in vain
// to be seen, and Dendrite moves the marker back.

// leftShown is what a room showed when its group was unlinked.
type leftShown struct {
	Room id.RoomID `json:"room"`
	// Readers goes by MXID: that is whose markers they are, whatever Tencent user he is linked with by then.
	Readers map[id.UserID]leftMarker `json:"readers"`
}

type leftMarker struct {
	Shown receipts.Pos `json:"shown,omitempty"`
	Sent  receipts.Pos `json:"sent,omitempty"`
}

// shownKey is where is kept what the room that a group had last shows of its readers.
func shownKey(group mapping.GroupKey) string { return fmt.Sprint(bridgedb.KeyShown, int64(group)) }

// keepShown keeps what the room that a group leaves shows. It is called before that is forgotten.
func (s *session) keepShown(ctx context.Context, group mapping.GroupKey, room id.RoomID) error {
	left := leftShown{Room: room, Readers: make(map[id.UserID]leftMarker)}
	keys, err := s.readersOf(ctx, group)
	if err != nil {
		return err
	}
	for _, key := range keys {
		row, u := s.rows[reader{group, key}], s.users[key]
		if row.Damage == nil && u.MXID != "" && max(row.Shown, row.Sent) > 0 {
			left.Readers[u.MXID] = leftMarker{Shown: row.Shown, Sent: row.Sent}
		}
	}
	raw, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("failed to marshal what a room shows: %w", err)
	}
	return s.b.own.SetValue(ctx, shownKey(group), string(raw))
}

// leftRoom is the room that a group had last, "" if it has one.
func (s *session) leftRoom(ctx context.Context, g *mapping.Group) (id.RoomID, error) {
	if g.RoomID != "" {
		return "", nil
	}
	value, err := s.b.own.Value(ctx, shownKey(g.Key))
	if err != nil || value == "" {
		return "", err
	}
	var left struct {
		Room id.RoomID `json:"room"`
	}
	if json.Unmarshal([]byte(value), &left) != nil {
		return "", nil // linking the group says so; a transaction must not wait for it
	}
	return left.Room, nil
}

// enterLinked prepares a group's readers for the room that it has been linked to.
func (s *session) enterLinked(ctx context.Context, g *mapping.Group) error {
	if err := s.shownAgain(ctx, g); err != nil {
		return err
	}
	if err := s.readOn(ctx, g); err != nil {
		return err
	}
	return s.ghostTasks(ctx, g.Key, g.RoomID)
}

// readOn: Matrix users may have read on in the room while it was no group's, and nobody told us. In the name of those who are linked, or
// will be, nothing is sent up to the place at which the group is linked: it could only be below what they have said themselves.
func (s *session) readOn(ctx context.Context, g *mapping.Group) error {
	if g.RoomID == "" || !g.LinkedPosKnown || g.LinkedPos == 0 {
		return nil
	}
	keys, err := s.readersOf(ctx, g.Key)
	if err != nil {
		return err
	}
	for _, key := range keys {
		row := s.rows[reader{g.Key, key}]
		if s.users[key].Kind != receipts.KindGhost && row.Shown < g.LinkedPos {
			row.Shown = g.LinkedPos
			s.save(row)
		}
	}
	return nil
}

// shownAgain takes up what keepShown kept, if the group has come back to that room, and else forgets it.
func (s *session) shownAgain(ctx context.Context, g *mapping.Group) error {
	if g.RoomID == "" {
		return nil
	}
	value, err := s.b.own.Value(ctx, shownKey(g.Key))
	if err != nil || value == "" {
		return err
	}
	if err = s.b.own.DropValue(ctx, shownKey(g.Key)); err != nil {
		return err
	}
	var left leftShown
	if err = json.Unmarshal([]byte(value), &left); err != nil {
		return fmt.Errorf("failed to read what a room shows: %w", err)
	}
	if left.Room != g.RoomID {
		return nil
	}
	keys, err := s.readersOf(ctx, g.Key)
	if err != nil {
		return err
	}
	for _, key := range keys {
		row := s.rows[reader{g.Key, key}]
		if m, ok := left.Readers[s.users[key].MXID]; ok {
			row.Shown, row.Sent = max(row.Shown, m.Shown), max(row.Sent, m.Sent)
			s.save(row)
		}
	}
	return nil
}
