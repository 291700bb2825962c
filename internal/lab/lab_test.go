package lab

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"maunium.net/go/mautrix/id"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		startChildAndPanic()
	}
	goleak.VerifyTestMain(m)
}

// A run that skips everything must not look like one that passed.
func TestAHomeserverIsThere(t *testing.T) { RequireAny(t) }

// onEach runs a test on every homeserver that is there.
func onEach(t *testing.T, test func(t *testing.T, kind Kind)) {
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			Require(t, kind)
			test(t, kind)
		})
	}
}

// twoInARoom makes alice and bob, both in a room of alice's, and a watcher for each.
func twoInARoom(t *testing.T, hs *Homeserver) (alice, bob *User, aliceSees, bobSees *Watcher, room id.RoomID) {
	t.Helper()
	alice, bob = NewUser(t, hs, "alice"), NewUser(t, hs, "bob")
	aliceSees, bobSees = NewWatcher(t, alice), NewWatcher(t, bob)
	room, err := alice.CreateRoom(t.Context(), bob.ID)
	require.NoError(t, err)
	require.NoError(t, bobSees.WaitMember(t.Context(), room, bob.ID, "invite"))
	require.NoError(t, bob.Join(t.Context(), room))
	require.NoError(t, aliceSees.WaitMember(t.Context(), room, bob.ID, "join"))
	return alice, bob, aliceSees, bobSees, room
}

func TestUsersSeeEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		ctx := t.Context()
		hs := Run(t, kind, Options{})
		alice, bob, aliceSees, bobSees, room := twoInARoom(t, hs)
		require.Equal(t, id.UserID("@alice:localhost"), alice.ID)

		first, err := alice.SendText(ctx, room, "first")
		require.NoError(t, err)
		got, err := bobSees.WaitText(ctx, room, "first")
		require.NoError(t, err)
		require.Equal(t, first, got.ID)
		require.Equal(t, alice.ID, got.Sender)
		if kind == Synapse { // Dendrite counts as it likes, see Unread
			require.NoError(t, bobSees.WaitUnread(ctx, room, 1))
		}

		require.NoError(t, bob.Receipt(ctx, room, first))
		receipt, err := aliceSees.WaitReceipt(ctx, room, bob.ID, first)
		require.NoError(t, err)
		require.Equal(t, "m.read", receipt.Type)
		require.Empty(t, receipt.Thread)
		require.False(t, receipt.At.IsZero())
		require.Equal(t, map[id.UserID]id.EventID{bob.ID: first}, aliceSees.Receipts(room))
		if kind == Synapse {
			require.NoError(t, bobSees.WaitUnread(ctx, room, 0))
		}

		root, err := alice.SendText(ctx, room, "root")
		require.NoError(t, err)
		inThread, err := alice.SendThread(ctx, room, root, "in the thread")
		require.NoError(t, err)
		_, err = bobSees.WaitEvent(ctx, room, inThread)
		require.NoError(t, err)
		require.NoError(t, bob.ThreadReceipt(ctx, room, inThread, string(root)))
		receipt, err = aliceSees.WaitReceipt(ctx, room, bob.ID, inThread)
		require.NoError(t, err)
		if kind == Synapse {
			require.Equal(t, string(root), receipt.Thread)
		} else {
			require.Empty(t, receipt.Thread, "Dendrite has no thread in a receipt")
		}

		reaction, err := bob.React(ctx, room, root, "👍")
		require.NoError(t, err)
		got, err = aliceSees.WaitEvent(ctx, room, reaction)
		require.NoError(t, err)
		require.Equal(t, "m.reaction", got.Type)
		edit, err := alice.Edit(ctx, room, root, "better")
		require.NoError(t, err)
		_, err = bobSees.WaitEvent(ctx, room, edit)
		require.NoError(t, err)
		_, err = alice.Redact(ctx, room, root)
		require.NoError(t, err)
		_, err = bobSees.WaitEventFunc(ctx, room, "redaction", func(e Event) bool { return e.Type == "m.room.redaction" })
		require.NoError(t, err)

		// A private receipt stays private: once a later public one has come, it would have come too.
		second, err := alice.SendText(ctx, room, "second")
		require.NoError(t, err)
		third, err := alice.SendText(ctx, room, "third")
		require.NoError(t, err)
		require.NoError(t, bob.PrivateReceipt(ctx, room, second))
		require.NoError(t, bob.Receipt(ctx, room, third))
		_, err = aliceSees.WaitReceipt(ctx, room, bob.ID, third)
		require.NoError(t, err)
		for _, r := range aliceSees.ReceiptLog(room) {
			require.NotEqual(t, second, r.Event)
			require.Equal(t, "m.read", r.Type)
		}
	})
}

func TestMembership(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		ctx := t.Context()
		hs := Run(t, kind, Options{})
		alice, bob, aliceSees, bobSees, room := twoInARoom(t, hs)

		require.NoError(t, bob.Leave(ctx, room))
		require.NoError(t, aliceSees.WaitMember(ctx, room, bob.ID, "leave"))
		require.NoError(t, alice.Invite(ctx, room, bob.ID))
		require.NoError(t, bobSees.WaitMember(ctx, room, bob.ID, "invite"))
		require.NoError(t, bob.Join(ctx, room))
		require.NoError(t, aliceSees.WaitMember(ctx, room, bob.ID, "join"))
		members, err := alice.JoinedMembers(ctx, room)
		require.NoError(t, err)
		require.Equal(t, []id.UserID{alice.ID, bob.ID}, members)
		require.NoError(t, alice.Kick(ctx, room, bob.ID))
		require.NoError(t, aliceSees.WaitMember(ctx, room, bob.ID, "leave"))
		require.NoError(t, alice.Ban(ctx, room, bob.ID))
		require.NoError(t, aliceSees.WaitMember(ctx, room, bob.ID, "ban"))
		require.NoError(t, alice.Unban(ctx, room, bob.ID))
		require.NoError(t, aliceSees.WaitMember(ctx, room, bob.ID, "leave"))
		require.Equal(t, "join", aliceSees.Members(room)[alice.ID])

		var refusal *HTTPError
		_, err = bob.SendText(ctx, room, "from outside")
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 403, refusal.Status)
		require.Equal(t, "M_FORBIDDEN", refusal.ErrCode)

		_, err = alice.SendState(ctx, room, "m.room.topic", "", map[string]any{"topic": "tea"})
		require.NoError(t, err)
		var topic struct{ Topic string }
		require.NoError(t, alice.State(ctx, room, "m.room.topic", "", &topic))
		require.Equal(t, "tea", topic.Topic)

		again, err := hs.Login(ctx, "alice", alice.Password)
		require.NoError(t, err)
		require.Equal(t, alice.ID, again.ID)
		require.NotEqual(t, alice.Token, again.Token)
	})
}

func TestJSClient(t *testing.T) {
	onEach(t, func(t *testing.T, kind Kind) {
		RequireJS(t)
		ctx := t.Context()
		hs := Run(t, kind, Options{})
		alice, bob, aliceSees, _, room := twoInARoom(t, hs)
		js := NewJSClient(t, bob)
		require.Equal(t, bob.ID, js.ID)

		first, err := alice.SendText(ctx, room, "for the SDK")
		require.NoError(t, err)
		require.NoError(t, js.WaitEvent(ctx, room, first))
		require.NoError(t, js.SendReadReceipt(ctx, room, first))
		_, err = aliceSees.WaitReceipt(ctx, room, bob.ID, first)
		require.NoError(t, err)

		second, err := js.SendText(ctx, room, "from the SDK")
		require.NoError(t, err)
		_, err = aliceSees.WaitEvent(ctx, room, second)
		require.NoError(t, err)
		before, err := js.EventReadUpTo(ctx, room, alice.ID)
		require.NoError(t, err)
		require.Empty(t, before, "alice sent no receipt yet; her own message counts for nothing here")
		require.NoError(t, alice.Receipt(ctx, room, second))
		require.NoError(t, js.WaitReadUpTo(ctx, room, alice.ID, second))
		users, err := js.UsersReadUpTo(ctx, room, second)
		require.NoError(t, err)
		require.Contains(t, users, alice.ID)

		require.ErrorContains(t, js.SendReadReceipt(ctx, room, "$nothing"), "does not know event")
		require.NoError(t, js.Close())
		_, err = js.Unread(ctx, room)
		require.Error(t, err)
	})
}
