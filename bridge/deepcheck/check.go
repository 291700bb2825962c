package deepcheck

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/mapping/mappingdb"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// DefaultMost is how many problems of one kind are told one by one.
const DefaultMost = 20

// Options is what a check has to know of the configuration that the database was written under.
type Options struct {
	// Most is how many problems of one kind are told; the rest is counted. Below 1 it is [DefaultMost].
	Most int
	// Now is the time it is.
	Now time.Time
	// GapAfter and HoleAfter are receipts.gap_after and receipts.hole_after, Window is receipts.window. Were they changed, markers
	// that moved under the old values may look ahead of their sets.
	GapAfter, HoleAfter time.Duration
	Window              int
	// Foreign tells puppets of other bridges, which neither read nor count. It may be nil.
	Foreign func(id.UserID) bool
}

// Finding is the outcome of one part of a check, or one problem in it.
type Finding struct {
	// Part is what was looked at, such as "readers".
	Part string
	// Problem is what is wrong, with the names of group and user where there are any; "" if nothing is.
	Problem string
	// Text says how much was looked at, if nothing is wrong.
	Text string
}

// check is one run.
type check struct {
	db    *dbutil.Database
	maps  *mappingdb.Store
	reads *receiptsdb.Store
	own   *bridgedb.Store
	opts  Options
	say   func(Finding)

	total int // problems of all parts
	kinds map[string]int
}

// part is a piece of a check. look says how much was looked at.
type part struct {
	name string
	look func(ctx context.Context, name string) (text string, err error)
}

// Run checks a database and tells report what it finds, in order: each problem, or for each part without one that it is well. It
// returns the number of problems, told or only counted. An error says that the database could not be read to the end. The tables must be of this
// program's version. report is called from the calling goroutine.
func Run(ctx context.Context, db *dbutil.Database, opts Options, report func(Finding)) (problems int, err error) {
	if opts.Most < 1 {
		opts.Most = DefaultMost
	}
	c := &check{db: db, maps: mappingdb.New(db), reads: receiptsdb.New(db), own: bridgedb.New(db), opts: opts, say: report}
	parts := []part{
		c.ownCheck(),
		{"groups", c.table("tim_group", groupRules())},
		{"rooms", c.table("tim_room", roomRules())},
		{"users", c.table("tim_user", userRules())},
		{"members", c.table("tim_member", memberRules())},
		{"messages", c.table("tim_message", messageRules())},
		{"readers", c.readers},
		{"parked", c.table("tim_parked", c.parkedRules())},
		{"callbacks", c.table("tim_callback", c.callbackRules())},
		{"work", c.work},
		{"state", c.table("tim_state", stateRules())},
	}
	for _, part := range parts {
		before := c.total
		c.kinds = make(map[string]int)
		text, err := part.look(ctx, part.name)
		if err != nil {
			return c.total, fmt.Errorf("failed to check %s: %w", part.name, err)
		}
		c.closeKinds(part.name)
		if c.total == before {
			report(Finding{Part: part.name, Text: text})
		}
	}
	return c.total, nil
}

// problem tells of one problem, or counts it if there were enough of its kind.
func (c *check) problem(part, kind, format string, args ...any) {
	c.total++
	if c.kinds[kind]++; c.kinds[kind] <= c.opts.Most {
		c.say(Finding{Part: part, Problem: fmt.Sprintf(format, args...)})
	}
}

// closeKinds tells how many problems of each kind were only counted.
func (c *check) closeKinds(part string) {
	more := 0
	for _, n := range c.kinds {
		more += max(n-c.opts.Most, 0)
	}
	if more > 0 {
		c.say(Finding{Part: part, Problem: fmt.Sprintf("and %d more of these", more)})
	}
}

// reading runs fn in one state of the database.
func (c *check) reading(ctx context.Context, fn func(ctx context.Context) error) error {
	opts := &dbutil.TxnOptions{ReadOnly: true}
	if c.db.Dialect == dbutil.Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return c.db.DoTxn(ctx, opts, fn)
}
