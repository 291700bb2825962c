package receiptstest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// Open returns an empty database that is closed when the test ends.
type Open func(t *testing.T) *dbutil.Database

// Run tests receiptsdb on the databases that open returns. Each test opens its
// own and they run side by side.
func Run(t *testing.T, open Open) {
	t.Helper()
	tests := map[string]func(*testing.T, *bench){
		"Upgrade twice":           testUpgradeTwice,
		"Reader round trip":       testReaderRoundTrip,
		"Tencent sets":            testTencentSets,
		"Many readers":            testManyReaders,
		"Save is all or nothing":  testSaveAllOrNothing,
		"Joins the transaction":   testJoinsTransaction,
		"Readers claiming":        testReadersClaiming,
		"Due":                     testDue,
		"Due acks":                testDueAcks,
		"Reset room":              testResetRoom,
		"Damaged rows":            testDamagedRows,
		"Parked":                  testParked,
		"Parked ahead of time":    testParkedAhead,
		"Parked at most so many":  testParkedAtMost,
		"Parked of threads":       testParkedOfThreads,
		"Parked many":             testParkedMany,
		"Parked for and unparked": testParkedFor,
		"Callbacks":               testCallbacks,
		"Callback cursors rise":   testCallbackCursors,
		"Drop callbacks":          testDropCallbacks,
		"Ended context":           testEndedContext,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			store := receiptsdb.New(db)
			require.NoError(t, store.Upgrade(t.Context()))
			test(t, &bench{db: db, Store: store})
		})
	}
}

// bench is what each test works with.
type bench struct {
	*receiptsdb.Store
	db *dbutil.Database
}

// start is some time, with more digits than are stored.
func start() time.Time {
	return time.Date(2026, 3, 1, 12, 30, 15, 123_456_789, time.UTC)
}

// stored is how a time comes back.
func stored(t time.Time) time.Time { return t.Truncate(time.Millisecond).UTC() }
