package receiptsdb

import (
	"fmt"
	"math"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/receipts"
)

// Row is one reader in one group, as it is stored.
type Row struct {
	Group receipts.GroupKey
	User  receipts.UserKey
	receipts.Reader
	// Due is from when on somebody should look what Matrix has yet to be told; the
	// zero time is never. It is kept to the millisecond, rounded down, and comes
	// back in UTC. Attempts is how often that has failed in a row.
	Due      time.Time
	Attempts int
	// AckDue and AckAttempts are the same for Tencent Cloud.
	AckDue      time.Time
	AckAttempts int
	// Damage says that the stored row cannot be read, and why. Then only Group and
	// User mean anything, and Save refuses the row.
	Damage *RowError
}

// RowError says that the stored row of one reader cannot be read or written. It
// wraps the cause; for a damaged row that is receipts.ErrDamaged.
type RowError struct {
	Group receipts.GroupKey
	User  receipts.UserKey
	Err   error
}

// Error names the group, the user and the cause.
func (e *RowError) Error() string {
	return fmt.Sprintf("reader of group %d, user %d: %v", e.Group, e.User, e.Err)
}

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.Err }

const columns = "group_key, user_key, read_set, tencent_set, claims, latest, frontier, solid, shown, sent, due, attempts, ack_due, ack_attempts"

// tencentNone stands in tencent_set for the empty set beside a read_set that is not
// empty: NULL means "the same", and some drivers cannot tell no bytes from NULL.
const tencentNone = "\x00"

// scratch is what a row is scanned into; it is used again for the next row.
type scratch struct {
	read, tencent, claims []byte
	due, ackDue           *int64
}

// scan reads a row. One that is damaged is no error but a row with Damage.
func (t *scratch) scan(from dbutil.Scannable) (Row, error) {
	var row Row
	err := from.Scan(&row.Group, &row.User, &t.read, &t.tencent, &t.claims,
		&row.Latest, &row.Frontier, &row.Solid, &row.Shown, &row.Sent, &t.due, &row.Attempts, &t.ackDue, &row.AckAttempts)
	if err == nil {
		err = t.parse(&row)
	} else if row.Group == 0 || row.User == 0 {
		return Row{}, err // not even whose it is; columns are read in order
	}
	if err != nil {
		return Row{Group: row.Group, User: row.User, Damage: &RowError{row.Group, row.User, err}}, nil
	}
	row.Due, row.AckDue = fromMillis(t.due), fromMillis(t.ackDue)
	return row, nil
}

// parse reads the binary columns.
func (t *scratch) parse(row *Row) (err error) {
	if row.Read, err = receipts.ParseSet(t.read); err != nil {
		return err
	}
	if t.tencent == nil {
		row.Tencent = row.Read
	} else if string(t.tencent) == tencentNone {
		row.Tencent = receipts.Set{}
	} else if row.Tencent, err = receipts.ParseSet(t.tencent); err != nil {
		return err
	}
	row.Claims, err = receipts.ParseClaims(t.claims)
	return err
}

func fromMillis(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return time.UnixMilli(*ms).UTC()
}

// rowWidth is the number of values that values appends.
const rowWidth = 15

// values appends what is stored of a row, in the order of upsert.
func (row *Row) values(args []any) ([]any, error) {
	if row.Damage != nil {
		return nil, row.Damage
	}
	read, err := row.Read.MarshalBinary()
	if err != nil {
		return nil, &RowError{row.Group, row.User, err}
	}
	var tencent []byte
	if !row.Tencent.Equal(row.Read) {
		if tencent, err = row.Tencent.MarshalBinary(); err != nil {
			return nil, &RowError{row.Group, row.User, err}
		}
		if len(tencent) == 0 {
			tencent = []byte(tencentNone)
		}
	}
	claims, err := row.Claims.MarshalBinary()
	if err != nil {
		return nil, &RowError{row.Group, row.User, err}
	}
	for _, attempts := range []int{row.Attempts, row.AckAttempts} {
		if attempts < 0 || attempts > math.MaxInt32 {
			return nil, &RowError{row.Group, row.User, fmt.Errorf("%d attempts are out of range", attempts)}
		}
	}
	return append(args, int64(row.Group), int64(row.User), read, tencent, claims, int64(row.Claims.Highest()),
		int64(row.Latest), int64(row.Frontier), int64(row.Solid), int64(row.Shown), int64(row.Sent),
		millis(row.Due), int64(row.Attempts), millis(row.AckDue), int64(row.AckAttempts)), nil
}
