package bridge

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// tryRedact redacts an event as its sender: nobody needs a right for that. Who has left the room cannot any more; then the bot does it,
// if it has the right, else the sender's ghost comes back for it. It goes again when its joining is heard of.
func (b *Bridge) tryRedact(ctx context.Context, sender mapping.User, o bridgedb.Outgoing) (event id.EventID, err error) {
	ghost := sender.Kind == receipts.KindGhost
	if ghost || b.hs.CanActAs(sender.MXID) {
		event, err = b.hs.Redact(ctx, sender.MXID, o.RoomID, o.Redacts, o.TxnID)
		if !errors.Is(err, matrix.ErrForbidden) {
			return event, err
		}
	}
	event, err = b.hs.Redact(ctx, b.bot(), o.RoomID, o.Redacts, o.TxnID)
	switch {
	case !errors.Is(err, matrix.ErrForbidden):
		return event, err
	case ghost:
		if err = b.hs.EnsureJoined(ctx, sender.MXID, o.RoomID); err != nil {
			return "", err
		}
		event, err = b.hs.Redact(ctx, sender.MXID, o.RoomID, o.Redacts, o.TxnID)
		if !errors.Is(err, matrix.ErrForbidden) {
			return event, err
		}
	}
	// A Matrix user who took it back himself before he left? Or somebody who has been linked or unlinked since he sent it, as another user?
	around, lookErr := b.hs.Surroundings(ctx, o.RoomID, o.Redacts)
	by := around.Event.Sender
	asGhost := lookErr == nil && by != sender.MXID && b.hs.IsGhost(by)
	switch {
	case lookErr != nil:
	case around.Event.Redacted:
		event, err = o.Redacts, nil
	case asGhost:
		if err = b.hs.EnsureJoined(ctx, by, o.RoomID); err == nil {
			event, err = b.hs.Redact(ctx, by, o.RoomID, o.Redacts, o.TxnID)
		}
	case by != sender.MXID && b.hs.CanActAs(by):
		event, err = b.hs.Redact(ctx, by, o.RoomID, o.Redacts, o.TxnID)
	}
	if err == nil && asGhost { // who is linked has no business there as a ghost
		err = b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.roomTask(ctx, o.RoomID, sender.Key) })
	}
	return event, err
}
