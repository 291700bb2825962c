package chaos

import (
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
)

// homeserver is what the load and the model want of a homeserver, real or not. What people do may fail, as others act at the same time
// and a real homeserver is away now and then; looks tell what it has come to.
type homeserver interface {
	URL() string
	Close()
	User(localpart string) *matrixUser
	// Timeline are the events of a room that are no state, in its order. Redacted ones are empty.
	Timeline(room id.RoomID) []matrixtest.Event
	MemberChanges(room id.RoomID) []matrixtest.MemberChange
	Members(room id.RoomID) []id.UserID
	Membership(room id.RoomID, user id.UserID) string
	Receipts(room id.RoomID) []matrixtest.Receipt
	Redacted(event id.EventID) bool
	// place is where an event stands among those of its room, as timbridge was told of them; 0 = nowhere. places are where it may
	// stand for timbridge: a real homeserver that was stopped in the middle of telling goes on in another order, and timbridge, if it
	// was too, may have taken something before it could answer. What all places say must hold, what one of them says may.
	place(event id.EventID) int64
	places(event id.EventID) []int64
	// tooLate tells whether timbridge was told of an event after others that came later in the room.
	tooLate(event id.EventID) bool
	// underWay says what timbridge has not taken yet; "" if nothing.
	underWay() string
	// repair sees to it that it runs and fails at nothing.
	repair()
	// faults are what breaks in it and on the ways to it, besides the gates.
	faults() []faultKind
}

// matrixUser is a Matrix user's client.
type matrixUser struct {
	ID id.UserID
	matrixClient
}

// matrixClient does things that may be refused.
type matrixClient interface {
	createRoom() (id.RoomID, error)
	TryJoin(room id.RoomID) error
	TryLeave(room id.RoomID) error
	TryKick(room id.RoomID, user id.UserID) error
	trySend(room id.RoomID, content map[string]any) (id.EventID, error)
	TryRedact(room id.RoomID, event id.EventID) error
	TrySendReceipt(room id.RoomID, event id.EventID, opts ...matrixtest.ReceiptOptions) error
}

// newHomeserver starts the homeserver of a kind of world, which knows timbridge by these registrations.
func (w *world) newHomeserver() homeserver {
	if w.kind.real == "" {
		return &fakeHomeserver{Server: matrixtest.New(w.t, w.kind.homeserver()), w: w, http: w.http}
	}
	return newRealHomeserver(w)
}

// register makes timbridge known to the homeserver.
func (w *world) register() {
	switch hs := w.hs.(type) {
	case *fakeHomeserver:
		for _, reg := range w.registrations() {
			hs.AddAppService(reg)
		}
	case *realHomeserver:
		hs.start(w.t, w.registrations())
	}
}
