package receiptstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

func parked(room, user, event string, age time.Duration) receiptsdb.Parked {
	return receiptsdb.Parked{RoomID: room, UserID: user, EventID: event, Since: stored(start().Add(-age))}
}

func testParked(t *testing.T, b *bench) {
	ctx := t.Context()
	first := parked("!a", "@u", "$1", time.Hour)
	again := parked("!a", "@u", "$1", 0)
	threaded := parked("!a", "@u", "$1", time.Minute)
	threaded.ThreadID, threaded.HasThread = "main", true
	require.NoError(t, b.Park(ctx))
	require.NoError(t, b.Park(ctx, first))
	require.NoError(t, b.Park(ctx, again, threaded, threaded))

	got, err := b.ParkedFor(ctx, []string{"$1", "$1", "$unknown"})
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Parked{first, threaded}, got, "the first Since stays, threads are told apart")

	older, err := b.ParkedOlder(ctx, start(), 1)
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Parked{first}, older)
	older, err = b.ParkedOlder(ctx, first.Since, 10)
	require.NoError(t, err)
	require.Empty(t, older, "before means before")

	n, err := b.DropParked(ctx, threaded.Since)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	older, err = b.ParkedOlder(ctx, start(), 10)
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Parked{threaded}, older)
}

func testParkedAhead(t *testing.T, b *bench) {
	ctx := t.Context()
	ahead, past := parked("!a", "@u", "$1", -24*time.Hour), parked("!a", "@u", "$2", time.Hour)
	require.NoError(t, b.Park(ctx, ahead, past))
	require.NoError(t, b.Release(ctx, start()))
	ahead.Since = stored(start())
	got, err := b.ParkedOlder(ctx, start().Add(time.Second), 10)
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Parked{past, ahead}, got, "what was parked by a clock that was ahead has come now")
}

func testParkedAtMost(t *testing.T, b *bench) {
	ctx := t.Context()
	var want []receiptsdb.Parked
	for i := range receiptsdb.MaxParked + 3 {
		age := 2*time.Hour - time.Duration(i)*time.Minute
		p := parked("!a", "@u", fmt.Sprintf("$%02d", i), age)
		require.NoError(t, b.Park(ctx, p, parked("!a", "@other", p.EventID, age)))
		want = append(want, p)
	}
	require.NoError(t, b.Park(ctx, parked("!b", "@u", "$b", 3*time.Hour)))
	require.NoError(t, b.Park(ctx, parked("!a", "@u", "$old", 3*time.Hour)), "older than all: it goes itself")

	older, err := b.ParkedOlder(ctx, start(), 1000)
	require.NoError(t, err)
	var got []receiptsdb.Parked
	for _, p := range older {
		if p.RoomID == "!a" && p.UserID == "@u" {
			got = append(got, p)
		}
	}
	require.Equal(t, want[3:], got)
	require.Len(t, older, 2*receiptsdb.MaxParked+1, "others are left alone")
}

// testParkedOfThreads: however many are pushed, which tell no thread, and however often one thread is read, the last word on each thread
// stays.
func testParkedOfThreads(t *testing.T, b *bench) {
	ctx := t.Context()
	var want []receiptsdb.Parked
	for i := range receiptsdb.MaxParked / 2 {
		p := parked("!a", "@u", fmt.Sprintf("$t%02d", i), time.Hour)
		if p.HasThread = i > 0; p.HasThread { // the first is of the whole room
			p.ThreadID = fmt.Sprintf("$root%02d", i)
		}
		want = append(want, p)
	}
	require.NoError(t, b.Park(ctx, want...))
	for i := range 2 * receiptsdb.MaxParked {
		pushed := parked("!a", "@u", fmt.Sprintf("$p%03d", i), time.Minute)
		pushed.ThreadID, pushed.HasThread = "?", true
		again := parked("!a", "@u", fmt.Sprintf("$m%03d", i), time.Minute-time.Duration(i)*time.Millisecond)
		again.ThreadID, again.HasThread = "main", true
		require.NoError(t, b.Park(ctx, pushed, again))
	}
	older, err := b.ParkedOlder(ctx, start(), 1000)
	require.NoError(t, err)
	require.Len(t, older, receiptsdb.MaxParked)
	require.Subset(t, older, want)
	require.Equal(t, fmt.Sprintf("$m%03d", 2*receiptsdb.MaxParked-1), older[len(older)-1].EventID)
}

func testParkedMany(t *testing.T, b *bench) {
	ctx := t.Context()
	var ps []receiptsdb.Parked
	var events []string
	for i := range 1201 {
		ps = append(ps, parked("!a", fmt.Sprintf("@%04d", i), fmt.Sprintf("$%04d", i), time.Minute))
		events = append(events, ps[i].EventID)
	}
	require.NoError(t, b.Park(ctx, ps...))
	got, err := b.ParkedFor(ctx, events)
	require.NoError(t, err)
	require.Equal(t, ps, got)
	require.NoError(t, b.Unpark(ctx, ps[1:]...))
	got, err = b.ParkedFor(ctx, events)
	require.NoError(t, err)
	require.Equal(t, ps[:1], got)
}

func testParkedFor(t *testing.T, b *bench) {
	ctx := t.Context()
	plain, stripped := parked("!a", "@u", "$1", time.Minute), parked("!a", "@u", "$1", time.Minute)
	stripped.ThreadID, stripped.HasThread = "?", true
	require.NoError(t, b.Park(ctx, plain, stripped, parked("!a", "@v", "$1", time.Hour), parked("!a", "@u", "$2", 0)))
	unknown := parked("!a", "@u", "$3", 0)
	plain.Since = time.Time{} // does not matter
	require.NoError(t, b.Unpark(ctx, plain, unknown))
	require.NoError(t, b.Unpark(ctx))
	got, err := b.ParkedFor(ctx, []string{"$2", "$1"})
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Parked{parked("!a", "@v", "$1", time.Hour), stripped, parked("!a", "@u", "$2", 0)}, got)
	got, err = b.ParkedFor(ctx, nil)
	require.NoError(t, err)
	require.Empty(t, got)
}

func callback(seq receipts.MsgSeq, cursor int64, age time.Duration) receiptsdb.Callback {
	return receiptsdb.Callback{User: 1, Group: 2, Seq: seq, Cursor: cursor, At: stored(start().Add(-age))}
}

func testCallbacks(t *testing.T, b *bench) {
	ctx := t.Context()
	cs := []receiptsdb.Callback{callback(5, 1, 0), callback(3, 2, 0), callback(4, 3, time.Hour)}
	other := callback(5, 9, 0)
	other.User = 7
	require.NoError(t, b.PutCallbacks(ctx, append([]receiptsdb.Callback{other}, cs[2], cs[1], cs[0])))
	require.NoError(t, b.PutCallbacks(ctx, nil))

	got, err := b.Callbacks(ctx, 1, 0, 10)
	require.NoError(t, err)
	require.Equal(t, cs, got)
	got, err = b.Callbacks(ctx, 1, 1, 1)
	require.NoError(t, err)
	require.Equal(t, cs[1:2], got)
	got, err = b.Callbacks(ctx, 1, 3, 10)
	require.NoError(t, err)
	require.Empty(t, got)
	got, err = b.AllCallbacks(ctx, 2, 10)
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Callback{cs[2], other}, got)

	require.Error(t, b.PutCallbacks(ctx, []receiptsdb.Callback{callback(1<<63, 10, 0)}), "beyond what a database can keep")
}

func testCallbackCursors(t *testing.T, b *bench) {
	ctx := t.Context()
	require.NoError(t, b.PutCallbacks(ctx, []receiptsdb.Callback{callback(1, 10, time.Hour), callback(2, 11, time.Hour)}))
	// Lower cursors change nothing, wherever they come; of one call the highest counts.
	require.NoError(t, b.PutCallbacks(ctx, []receiptsdb.Callback{
		callback(1, 5, 0), callback(2, 12, time.Minute), callback(2, 13, 0), callback(2, 4, 0),
	}))
	got, err := b.Callbacks(ctx, 1, 0, 10)
	require.NoError(t, err)
	require.Equal(t, []receiptsdb.Callback{callback(1, 10, time.Hour), callback(2, 13, 0)}, got)
}

func testDropCallbacks(t *testing.T, b *bench) {
	ctx := t.Context()
	var cs []receiptsdb.Callback
	for i := range 1300 {
		cs = append(cs, callback(receipts.MsgSeq(i+1), int64(i+1), time.Duration(1300-i)*time.Second))
	}
	require.NoError(t, b.PutCallbacks(ctx, cs))
	dropped, err := b.DropCallbacks(ctx, cs[1000].At)
	require.NoError(t, err)
	require.Equal(t, cs[999].Cursor, dropped)
	got, err := b.Callbacks(ctx, 1, 0, 2000)
	require.NoError(t, err)
	require.Equal(t, cs[1000:], got)
}
