package chaos

import (
	"context"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/internal/lab"
)

// realUser is a client on a real homeserver.
type realUser struct {
	user *lab.User
	hs   *realHomeserver
}

func (u *realUser) try(act func(ctx context.Context) error) error {
	if u.hs.kind == lab.Dendrite {
		u.hs.oneAtATime.Lock()
		defer u.hs.oneAtATime.Unlock()
	}
	ctx, cancel := context.WithTimeout(u.hs.w.t.Context(), 15*time.Second)
	defer cancel()
	return act(ctx)
}

func (u *realUser) createRoom() (room id.RoomID, err error) {
	err = u.try(func(ctx context.Context) error {
		room, err = u.user.CreateRoomWith(ctx, map[string]any{"preset": "public_chat", "power_level_content_override": map[string]any{"invite": 0}})
		return err
	})
	return room, err
}

func (u *realUser) TryJoin(room id.RoomID) error {
	return u.try(func(ctx context.Context) error { return u.user.Join(ctx, room) })
}

func (u *realUser) TryLeave(room id.RoomID) error {
	return u.try(func(ctx context.Context) error { return u.user.Leave(ctx, room) })
}

func (u *realUser) TryKick(room id.RoomID, user id.UserID) error {
	return u.try(func(ctx context.Context) error { return u.user.Kick(ctx, room, user) })
}

func (u *realUser) trySend(room id.RoomID, content map[string]any) (event id.EventID, err error) {
	err = u.try(func(ctx context.Context) error {
		event, err = u.user.Send(ctx, room, "m.room.message", content)
		return err
	})
	return event, err
}

func (u *realUser) TryRedact(room id.RoomID, event id.EventID) error {
	return u.try(func(ctx context.Context) error { _, err := u.user.Redact(ctx, room, event); return err })
}

func (u *realUser) TrySendReceipt(room id.RoomID, event id.EventID, opts ...matrixtest.ReceiptOptions) error {
	return u.try(func(ctx context.Context) error {
		switch {
		case len(opts) > 0 && opts[0].Private:
			return u.user.PrivateReceipt(ctx, room, event)
		case len(opts) > 0 && opts[0].Thread != "":
			return u.user.ThreadReceipt(ctx, room, event, opts[0].Thread)
		default:
			return u.user.Receipt(ctx, room, event)
		}
	})
}
