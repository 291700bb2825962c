package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix/matrixtest"
	"github.com/timbridge/timbridge/receipts"
)

// These are the tests of events that the homeserver has and never hands over.

func impatient(cfg *config.Config) { cfg.Bridge.EventWait = 100 * time.Millisecond }

// positions are the places of events.
func (h *house) positions(events ...id.EventID) []receipts.Pos {
	h.t.Helper()
	places, err := h.b.maps.Places(h.ctx, events)
	require.NoError(h.t, err)
	list := make([]receipts.Pos, len(events))
	for i, ev := range events {
		list[i] = places[ev].Pos
	}
	return list
}

func (h *house) placed(event id.EventID) {
	h.t.Helper()
	h.wait("the place of "+event.String(), func() bool { return h.positions(event)[0] > 0 })
}

// deliver hands events over that were withheld.
func (h *house) deliver(events ...id.EventID) {
	h.t.Helper()
	var list []json.RawMessage
	for _, ev := range events {
		list = append(list, h.hs.EventJSON(ev))
	}
	body, err := json.Marshal(map[string]any{"events": list})
	require.NoError(h.t, err)
	status, _ := h.hs.PutTransaction(fmt.Sprint("late ", events), body)
	require.Equal(h.t, http.StatusOK, status)
}

// TestOwnEventThatNeverComesBack: a message of ours that the homeserver does not hand over can be read in both directions all the same,
// also after a restart, and nothing happens twice if it is handed over in the end.
func TestOwnEventThatNeverComesBack(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts)
		ann := h.hs.User("ann")
		room := h.room("team", ann, "alice", "bob")
		h.settled()
		h.hs.Withhold(h.ghost("alice"), 1)
		alice := h.client("alice")
		sent, err := alice.SendText(h.ctx, "team", "hello")
		require.NoError(t, err)
		event := h.event("team", sent.MsgID)
		require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, sent.MsgID))
		h.settled()
		require.Zero(t, h.positions(event)[0])
		h.restart(func() { impatient(h.cfg) })
		ann.WaitReceipt(room, h.ghost("bob"), event)
		ann.SendReceipt(room, event)
		h.waitCounts(alice, sent.MsgID, 2, 0)
		h.settled()
		at := h.positions(event)
		h.deliver(event)
		h.settled()
		require.Equal(t, at, h.positions(event))
		require.Len(t, h.messages("team", 1), 1)
		require.Equal(t, [2]uint64{2, 0}, h.counts(alice, sent.MsgID))
	})
}

// TestOwnEventsMissingBetweenOthers: places keep the order of the room. Who has read up to what is missing has not read what follows,
// who has read what follows has read what is missing, and no marker moves back.
func TestOwnEventsMissingBetweenOthers(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts, func(cfg *config.Config) { cfg.Bridge.EventWait = time.Hour }) // until the restart
		ann, ben, eve := h.hs.User("ann"), h.hs.User("ben"), h.hs.User("eve")
		room := h.room("team", ann, "alice", "bob", "carl")
		h.join(ben, room)
		h.join(eve, room)
		h.settled()
		first := ann.Send(room, "first")
		h.message("team", first)
		h.hs.WaitPushed()
		h.hs.Withhold(h.ghost("alice"), 2)
		alice := h.client("alice")
		var ids [2]string
		var missing [2]id.EventID
		for i := range ids {
			sent, err := alice.SendText(h.ctx, "team", fmt.Sprint("missing ", i))
			require.NoError(t, err)
			ids[i], missing[i] = sent.MsgID, h.event("team", sent.MsgID)
		}
		late := h.hs.User("late")
		h.join(late, room)
		after := ann.Send(room, "after")
		last := h.message("team", after)
		require.NoError(t, h.client("bob").SendMessageReadReceipts(h.ctx, ids[0]))
		require.NoError(t, h.client("carl").SendMessageReadReceipts(h.ctx, last.MsgId))
		ann.WaitReceipt(room, h.ghost("carl"), after)
		require.NoError(t, h.client("carl").SendMessageReadReceipts(h.ctx, ids[1]))
		ben.SendReceipt(room, missing[0])
		eve.SendReceipt(room, after)
		h.wait("eve's receipt", func() bool { return h.message("team", after).ReadNum == 2 })
		h.settled()
		h.restart(func() { impatient(h.cfg) })

		ann.WaitReceipt(room, h.ghost("bob"), missing[0])
		h.placed(missing[1])
		h.waitCounts(alice, ids[0], 3, 2) // bob, ben, eve; neither ann nor carl. late came after it
		h.waitCounts(alice, ids[1], 2, 3) // carl, eve
		order := h.positions(first, missing[0], missing[1], after)
		require.IsIncreasing(t, order)
		h.settled()
		require.Equal(t, after, ann.ReceiptOf(room, h.ghost("carl")), "a marker does not move back")
		require.EqualValues(t, 2, h.message("team", after).ReadNum, "ben has not read it")
		late.SendReceipt(room, after)
		h.wait("late's receipt", func() bool { return h.message("team", after).ReadNum == 3 })
		require.Equal(t, [2]uint64{2, 3}, h.counts(alice, ids[1]), "what was sent before he came is not his to read")

		h.deliver(missing[1], missing[0])
		h.settled()
		require.Equal(t, order, h.positions(first, missing[0], missing[1], after))
		require.Len(t, h.messages("team", 4), 4)
		require.Equal(t, [2]uint64{3, 2}, h.counts(alice, ids[0]))
	})
}

// TestEventOfAnotherThatNeverComes: a Matrix user's message that the homeserver does not hand over becomes known when somebody has read
// it, with what is missing before it.
func TestEventOfAnotherThatNeverComes(t *testing.T) {
	t.Parallel()
	eachServer(t, func(t *testing.T, opts matrixtest.Options) {
		h := newHouse(t, opts, impatient)
		ann, ben := h.hs.User("ann"), h.hs.User("ben")
		room := h.room("team", ann, "alice")
		h.join(ben, room)
		h.settled()
		h.hs.Withhold(ann.ID, 2)
		one, two := ann.Send(room, "one"), ann.Send(room, "two")
		ben.SendReceipt(room, two)
		for _, event := range []id.EventID{one, two} {
			h.wait("ben has read it", func() bool { return h.message("team", event).ReadNum == 1 })
		}
		require.IsIncreasing(t, h.positions(one, two))
		require.NoError(t, h.client("alice").SendMessageReadReceipts(h.ctx, h.message("team", two).MsgId))
		ben.WaitReceipt(room, h.ghost("alice"), two)
		h.deliver(one, two)
		h.settled()
		require.Len(t, h.messages("team", 2), 2)
		three := ann.Send(room, "three")
		h.message("team", three)
		require.IsIncreasing(t, h.positions(one, two, three))
	})
}

// TestEventHandedOverWhileAskedFor: what the homeserver said may be old when it is taken. It is asked again then, so that no event is put
// behind one that follows it.
func TestEventHandedOverWhileAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse())
	ann := h.hs.User("ann")
	room := h.room("team", ann, "alice")
	h.settled()
	h.hs.Withhold(h.ghost("alice"), 1)
	sent, err := h.client("alice").SendText(h.ctx, "team", "hello")
	require.NoError(t, err)
	event := h.event("team", sent.MsgID)
	around, err := h.b.hs.Surroundings(h.ctx, room, event)
	require.NoError(t, err)
	after := ann.Send(room, "after")
	h.message("team", after)
	take := func() (done bool) {
		require.NoError(t, h.b.commits.do(h.ctx, func(ctx context.Context, s *session) error {
			g, err := s.groupOfRoom(ctx, room)
			if err == nil {
				done, err = s.undelivered(ctx, g, around)
			}
			return err
		}))
		return done
	}
	require.False(t, take())
	around, err = h.b.hs.Surroundings(h.ctx, room, event)
	require.NoError(t, err)
	require.True(t, take())
	require.IsIncreasing(t, h.positions(event, after))
	at := h.positions(event, after)
	require.True(t, take(), "again")
	require.Equal(t, at, h.positions(event, after))
}

// TestRedactionBeforeWhatNeverComes: whoever has read up to a redaction has not read the message behind it, also when both were missing
// and the message was found first.
func TestRedactionBeforeWhatNeverComes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, matrixtest.Synapse(), impatient)
	ann, ben := h.hs.User("ann"), h.hs.User("ben")
	room := h.room("team", ann, "alice")
	h.join(ben, room)
	old := ann.Send(room, "old")
	h.message("team", old)
	h.settled()
	h.hs.Withhold(ann.ID, 1)
	h.hs.Withhold(h.ghost("alice"), 1)
	redaction := ann.Redact(room, old)
	sent, err := h.client("alice").SendText(h.ctx, "team", "behind")
	require.NoError(t, err)
	behind := h.event("team", sent.MsgID)
	h.placed(behind)
	h.deliver(redaction)
	h.settled()
	require.IsIncreasing(t, h.positions(old, redaction, behind))
	ben.SendReceipt(room, redaction)
	h.settled()
	ben.SendReceipt(room, behind)
	h.waitCounts(h.client("alice"), sent.MsgID, 1, 1)
}
