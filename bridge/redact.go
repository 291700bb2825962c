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
		return b.hs.Redact(ctx, sender.MXID, o.RoomID, o.Redacts, o.TxnID)
	}
	// A Matrix user who took it back himself before he left?
	if around, lookErr := b.hs.Surroundings(ctx, o.RoomID, o.Redacts); lookErr == nil && around.Event.Redacted {
		return o.Redacts, nil
	}
	return "", err
}
