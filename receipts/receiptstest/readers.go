package receiptstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// requireRow compares by meaning: equal sets may be kept differently in memory.
func requireRow(t *testing.T, want, got receiptsdb.Row) {
	t.Helper()
	require.True(t, want.Read.Equal(got.Read), "read: want %v, got %v", want.Read, got.Read)
	require.True(t, want.Tencent.Equal(got.Tencent), "tencent: want %v, got %v", want.Tencent, got.Tencent)
	require.True(t, want.Claims.Equal(got.Claims), "claims: want %+v, got %+v", want.Claims, got.Claims)
	want.Due, want.AckDue = stored(want.Due), stored(want.AckDue)
	for _, row := range []*receiptsdb.Row{&want, &got} {
		row.Read, row.Tencent, row.Claims = receipts.Set{}, receipts.Set{}, receipts.Claims{}
	}
	require.Equal(t, want, got)
}

func requireRows(t *testing.T, want, got []receiptsdb.Row) {
	t.Helper()
	require.Len(t, got, len(want))
	for i := range want {
		requireRow(t, want[i], got[i])
	}
}

// fullRow has something in every field.
func fullRow(group receipts.GroupKey, user receipts.UserKey) receiptsdb.Row {
	row := receiptsdb.Row{Group: group, User: user, Due: start(), Attempts: 3, AckDue: start().Add(time.Hour), AckAttempts: 4}
	row.Read = receipts.SetOfRanges(receipts.Range{First: 1, Last: 40}, receipts.Range{First: 50, Last: receipts.MsgSeq(60 + user)})
	row.Tencent = receipts.SetOf(1, 2, 3, receipts.MsgSeq(50+user%10))
	row.Claims, _ = row.Claims.Raise(receipts.ScopeMain, 70)
	row.Claims, _ = row.Claims.Raise(receipts.ScopeThread("$root"), receipts.Pos(80+user))
	row.Latest, row.Frontier, row.Solid, row.Shown, row.Sent = 1<<40, 12, 11, 10, 9
	return row
}

func claiming(pos receipts.Pos) receipts.Claims {
	c, _ := receipts.Claims{}.Raise(receipts.ScopeRoom, pos)
	return c
}

func testUpgradeTwice(t *testing.T, b *bench) {
	require.NoError(t, b.Save(t.Context(), []receiptsdb.Row{fullRow(1, 1)}))
	require.NoError(t, receiptsdb.New(b.db).Upgrade(t.Context()))
	rows, err := b.AllReaders(t.Context(), 1)
	require.NoError(t, err)
	requireRows(t, []receiptsdb.Row{fullRow(1, 1)}, rows)
}

func testReaderRoundTrip(t *testing.T, b *bench) {
	ctx := t.Context()
	got, err := b.Readers(ctx, 1, []receipts.UserKey{7, 8, 7})
	require.NoError(t, err)
	require.Len(t, got, 2)
	requireRow(t, receiptsdb.Row{Group: 1, User: 7}, got[7])

	rows := []receiptsdb.Row{fullRow(2, 7), fullRow(1, 8), fullRow(1, 7), {Group: 1, User: 9}}
	require.NoError(t, b.Save(ctx, rows))
	require.EqualValues(t, 2, rows[0].Group, "the caller's rows stay in their order")
	got, err = b.Readers(ctx, 1, []receipts.UserKey{9, 8, 7, 6})
	require.NoError(t, err)
	require.Len(t, got, 4)
	requireRow(t, fullRow(1, 7), got[7])
	requireRow(t, fullRow(1, 8), got[8])
	requireRow(t, receiptsdb.Row{Group: 1, User: 9}, got[9])
	requireRow(t, receiptsdb.Row{Group: 1, User: 6}, got[6])

	// Every column is written again, downwards too.
	require.NoError(t, b.Save(ctx, []receiptsdb.Row{{Group: 1, User: 7}}))
	all, err := b.AllReaders(ctx, 1)
	require.NoError(t, err)
	requireRows(t, []receiptsdb.Row{{Group: 1, User: 7}, fullRow(1, 8), {Group: 1, User: 9}}, all)
	other, err := b.AllReaders(ctx, 2)
	require.NoError(t, err)
	requireRows(t, []receiptsdb.Row{fullRow(2, 7)}, other)

	none, err := b.Readers(ctx, 1, nil)
	require.NoError(t, err)
	require.Empty(t, none)
	require.NoError(t, b.Save(ctx, nil))
}

func testTencentSets(t *testing.T, b *bench) {
	tests := map[string]struct{ read, tencent receipts.Set }{
		"both empty":   {},
		"equal":        {receipts.SetOf(1, 5), receipts.SetOf(1, 5)},
		"none of some": {receipts.SetOf(1, 5), receipts.Set{}},
		"some of some": {receipts.SetOf(1, 5), receipts.SetOf(5)},
	}
	user := receipts.UserKey(0)
	for name, test := range tests {
		user++
		row := receiptsdb.Row{Group: 1, User: user}
		row.Read, row.Tencent = test.read, test.tencent
		require.NoError(t, b.Save(t.Context(), []receiptsdb.Row{row}), name)
		got, err := b.Readers(t.Context(), 1, []receipts.UserKey{user})
		require.NoError(t, err, name)
		requireRow(t, row, got[user])
	}
	// Most readers are in step with Tencent, and then the set is kept once.
	var once int
	require.NoError(t, b.db.QueryRow(t.Context(), "SELECT count(*) FROM tim_reader WHERE tencent_set IS NULL").Scan(&once))
	require.Equal(t, 2, once)
}

func testManyReaders(t *testing.T, b *bench) {
	const many = 1234 // more than two statements take
	rows := make([]receiptsdb.Row, 0, many)
	users := make([]receipts.UserKey, 0, many)
	for i := receipts.UserKey(many); i > 0; i-- {
		rows = append(rows, fullRow(5, i))
		users = append(users, i)
	}
	require.NoError(t, b.Save(t.Context(), rows))
	got, err := b.Readers(t.Context(), 5, users)
	require.NoError(t, err)
	require.Len(t, got, many)
	for _, row := range rows {
		requireRow(t, row, got[row.User])
	}
	all, err := b.AllReaders(t.Context(), 5)
	require.NoError(t, err)
	require.Len(t, all, many)
	require.EqualValues(t, 1, all[0].User)
}

func testSaveAllOrNothing(t *testing.T, b *bench) {
	ctx := t.Context()
	var rowErr *receiptsdb.RowError

	err := b.Save(ctx, []receiptsdb.Row{fullRow(1, 1), fullRow(1, 2), fullRow(1, 1)})
	require.ErrorAs(t, err, &rowErr)
	require.Equal(t, receiptsdb.RowError{Group: 1, User: 1, Err: rowErr.Err}, *rowErr)

	// The bad row is in the last of several statements.
	rows := make([]receiptsdb.Row, 0, 1100)
	for i := range receipts.UserKey(1100) {
		rows = append(rows, receiptsdb.Row{Group: 1, User: i + 1})
	}
	rows[1099].AckAttempts = -1
	require.ErrorAs(t, b.Save(ctx, rows), &rowErr)
	require.EqualValues(t, 1100, rowErr.User)
	all, err := b.AllReaders(ctx, 1)
	require.NoError(t, err)
	require.Empty(t, all)
}

func testJoinsTransaction(t *testing.T, b *bench) {
	ctx := t.Context()
	undo := errors.New("undo")
	err := b.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		require.NoError(t, b.Save(ctx, []receiptsdb.Row{fullRow(1, 1)}))
		require.NoError(t, b.Park(ctx, receiptsdb.Parked{RoomID: "!r", EventID: "$e", Since: start()}))
		require.NoError(t, b.PutCallbacks(ctx, []receiptsdb.Callback{{User: 1, Group: 1, Seq: 1, Cursor: 1, At: start()}}))
		got, err := b.Readers(ctx, 1, []receipts.UserKey{1})
		require.NoError(t, err)
		requireRow(t, fullRow(1, 1), got[1]) // seen from within
		return undo
	})
	require.ErrorIs(t, err, undo)
	got, err := b.AllReaders(ctx, 1)
	require.NoError(t, err)
	require.Empty(t, got)
	parked, err := b.ParkedFor(ctx, []string{"$e"})
	require.NoError(t, err)
	require.Empty(t, parked)
	callbacks, err := b.Callbacks(ctx, 1, 0, 10)
	require.NoError(t, err)
	require.Empty(t, callbacks)
}

func testReadersClaiming(t *testing.T, b *bench) {
	thread, _ := claiming(5).Raise(receipts.ScopeThread("$t"), 20)
	rows := []receiptsdb.Row{
		{Group: 1, User: 1, Reader: receipts.Reader{Claims: claiming(9)}},
		{Group: 1, User: 2, Reader: receipts.Reader{Claims: claiming(10)}},
		{Group: 1, User: 3, Reader: receipts.Reader{Claims: thread}},
		{Group: 1, User: 4, Reader: receipts.Reader{Frontier: 10}},
		{Group: 1, User: 5, Reader: receipts.Reader{Frontier: 9, Latest: 100, Shown: 100}},
		{Group: 2, User: 2, Reader: receipts.Reader{Claims: claiming(50)}},
	}
	require.NoError(t, b.Save(t.Context(), rows))
	got, err := b.ReadersClaiming(t.Context(), 1, 10)
	require.NoError(t, err)
	requireRows(t, rows[1:4], got)
	got, err = b.ReadersClaiming(t.Context(), 1, 21)
	require.NoError(t, err)
	require.Empty(t, got)

	rows[0].Claims = claiming(21)
	require.NoError(t, b.Save(t.Context(), rows[:1]))
	got, err = b.ReadersClaiming(t.Context(), 1, 21)
	require.NoError(t, err)
	requireRows(t, rows[:1], got)
}

func testDue(t *testing.T, b *bench) {
	ctx := t.Context()
	_, some, err := b.NextDue(ctx)
	require.NoError(t, err)
	require.False(t, some)

	at := func(d time.Duration) time.Time { return start().Add(d) }
	rows := []receiptsdb.Row{
		{Group: 1, User: 1, Due: at(2 * time.Second)},
		{Group: 1, User: 2},
		{Group: 3, User: 3, Due: at(-time.Hour), Attempts: 7},
		{Group: 2, User: 1, Due: at(0)},
		{Group: 1, User: 4, Due: at(0)},
	}
	require.NoError(t, b.Save(ctx, rows))
	due, err := b.Due(ctx, start(), 10)
	require.NoError(t, err)
	requireRows(t, []receiptsdb.Row{rows[2], rows[4], rows[3]}, due)
	due, err = b.Due(ctx, start(), 1)
	require.NoError(t, err)
	requireRows(t, rows[2:3], due)
	due, err = b.Due(ctx, at(-2*time.Hour), 10)
	require.NoError(t, err)
	require.Empty(t, due)

	next, some, err := b.NextDue(ctx)
	require.NoError(t, err)
	require.True(t, some)
	require.Equal(t, stored(at(-time.Hour)), next)
	pending, err := b.Pending(ctx, at(time.Second))
	require.NoError(t, err)
	require.Equal(t, 3, pending, "one waits for time to pass")
	pending, err = b.Pending(ctx, at(-2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, 1, pending, "one was put off after a try")

	require.NoError(t, b.Release(ctx, start()))
	due, err = b.Due(ctx, start(), 10)
	require.NoError(t, err)
	require.Len(t, due, 4, "released: nothing is put off any more")

	// A row is due at the very time that NextDue names.
	due, err = b.Due(ctx, next, 10)
	require.NoError(t, err)
	requireRows(t, rows[2:3], due)

	for i := range rows {
		rows[i].Due = time.Time{}
	}
	require.NoError(t, b.Save(ctx, rows))
	pending, err = b.Pending(ctx, at(time.Hour))
	require.NoError(t, err)
	require.Zero(t, pending)
}

func testDueAcks(t *testing.T, b *bench) {
	ctx := t.Context()
	at := func(d time.Duration) time.Time { return start().Add(d) }
	some := receipts.Reader{Read: receipts.SetOf(1, 2), Tencent: receipts.SetOf(1)}
	rows := []receiptsdb.Row{
		{Group: 1, User: 1, Reader: some, AckDue: at(time.Hour), AckAttempts: 2},
		{Group: 1, User: 2, Reader: some},
		{Group: 1, User: 3, Reader: receipts.Reader{Read: receipts.SetOf(1), Tencent: receipts.SetOf(1)}},
		{Group: 2, User: 1, Reader: some, AckDue: at(0), Due: at(time.Minute)},
	}
	require.NoError(t, b.Save(ctx, rows))
	due, err := b.DueAcks(ctx, start(), 10)
	require.NoError(t, err)
	requireRows(t, rows[3:], due)
	next, ok, err := b.NextAck(ctx)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, stored(at(0)), next)
	pending, err := b.Pending(ctx, start())
	require.NoError(t, err)
	require.Equal(t, 2, pending, "one due, one put off after a try")

	require.NoError(t, b.ReleaseAcks(ctx, 1, at(-time.Minute)))
	due, err = b.DueAcks(ctx, at(-time.Second), 10)
	require.NoError(t, err)
	require.Len(t, due, 2, "those of whom Tencent does not have everything")
	require.EqualValues(t, 1, due[0].User)
	require.EqualValues(t, 2, due[1].User)

	require.NoError(t, b.Save(ctx, rows))
	require.NoError(t, b.Release(ctx, start()))
	due, err = b.DueAcks(ctx, start(), 10)
	require.NoError(t, err)
	require.Len(t, due, 2)
}

func testResetRoom(t *testing.T, b *bench) {
	ctx := t.Context()
	require.NoError(t, b.Save(ctx, []receiptsdb.Row{fullRow(1, 1), fullRow(2, 1)}))
	require.NoError(t, b.ResetRoom(ctx, 1))
	before := fullRow(1, 1)
	want := receiptsdb.Row{Group: 1, User: 1, Reader: receipts.Reader{Read: before.Read, Tencent: before.Tencent}, AckDue: before.AckDue, AckAttempts: before.AckAttempts}
	got, err := b.AllReaders(ctx, 1)
	require.NoError(t, err)
	requireRows(t, []receiptsdb.Row{want}, got)
	got, err = b.ReadersClaiming(ctx, 1, 1)
	require.NoError(t, err)
	require.Empty(t, got)
	got, err = b.AllReaders(ctx, 2)
	require.NoError(t, err)
	requireRows(t, []receiptsdb.Row{fullRow(2, 1)}, got)
}

func testDamagedRows(t *testing.T, b *bench) {
	ctx := t.Context()
	for i, column := range []string{"read_set", "tencent_set", "claims", "latest"} {
		if column == "latest" && b.db.Dialect == dbutil.Postgres {
			continue // it lets nothing but numbers in
		}
		user := receipts.UserKey(i + 10)
		require.NoError(t, b.Save(ctx, []receiptsdb.Row{fullRow(3, 1), fullRow(3, user), fullRow(3, 99)}))
		_, err := b.db.Exec(ctx, "UPDATE tim_reader SET "+column+"=$1 WHERE user_key=$2", []byte{1, 2, 3, 4, 5, 6}, int64(user))
		require.NoError(t, err)
		damaged := func(rows []receiptsdb.Row, err error) {
			require.NoError(t, err, column)
			require.Len(t, rows, 3, "the others can still be had")
			requireRow(t, fullRow(3, 1), rows[0])
			requireRow(t, fullRow(3, 99), rows[2])
			row := rows[1]
			if column != "latest" {
				require.ErrorIs(t, row.Damage, receipts.ErrDamaged, column)
			}
			require.Equal(t, receiptsdb.RowError{Group: 3, User: user, Err: row.Damage.Err}, *row.Damage)
			requireRow(t, receiptsdb.Row{Group: 3, User: user, Damage: row.Damage}, row)
		}
		damaged(b.AllReaders(ctx, 3))
		damaged(b.Due(ctx, start(), 100))
		damaged(b.DueAcks(ctx, start().Add(time.Hour), 100))
		found, err := b.Readers(ctx, 3, []receipts.UserKey{1, user})
		require.NoError(t, err)
		require.NotNil(t, found[user].Damage)
		require.Nil(t, found[1].Damage)

		// What cannot be read is not written over by mistake.
		var rowErr *receiptsdb.RowError
		require.ErrorAs(t, b.Save(ctx, []receiptsdb.Row{fullRow(3, 1), found[user]}), &rowErr, column)
		require.Equal(t, user, rowErr.User)

		// Put aside it is no longer due, whatever is released, and the others still are.
		require.NoError(t, b.Shelve(ctx, 3, user))
		require.NoError(t, b.Release(ctx, start()))
		due, err := b.Due(ctx, start(), 100)
		require.NoError(t, err)
		require.Len(t, due, 2)
		due, err = b.DueAcks(ctx, start().Add(time.Hour), 100)
		require.NoError(t, err)
		require.Len(t, due, 2)
		found, err = b.Readers(ctx, 3, []receipts.UserKey{user})
		require.NoError(t, err)
		require.NotNil(t, found[user].Damage, "it is as damaged as before")

		// It can be written anew.
		require.NoError(t, b.Save(ctx, []receiptsdb.Row{fullRow(3, user)}))
		found, err = b.Readers(ctx, 3, []receipts.UserKey{user})
		require.NoError(t, err)
		requireRow(t, fullRow(3, user), found[user])
		_, err = b.db.Exec(ctx, "DELETE FROM tim_reader")
		require.NoError(t, err)
	}
}

func testEndedContext(t *testing.T, b *bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Save(ctx, []receiptsdb.Row{fullRow(1, 1)}), context.Canceled)
	_, err := b.Readers(ctx, 1, []receipts.UserKey{1})
	require.ErrorIs(t, err, context.Canceled)
	_, err = b.Due(ctx, start(), 1)
	require.ErrorIs(t, err, context.Canceled)
}
