package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/bridge/standby"
)

// errTakenOver: what this bridge keeps in memory is not what the database says any more, so it must end.
var errTakenOver = fmt.Errorf("this one has stopped writing and ends: %w", standby.ErrReplaced)

// errOutcome: nobody knows yet whether a commit went through.
var errOutcome = errors.New("the connection to the database was lost while committing, and whether the commit went through is not known yet")

const (
	// commitTimeout bounds a transaction on a server: one that answers no more is as good as gone.
	commitTimeout = 2 * time.Minute
	// settleTimeout is fence.patience but in tests, settleTry how long the server has for an answer.
	settleTimeout = 10 * time.Second
	settleTry     = 3 * time.Second
	settlePause   = 100 * time.Millisecond
)

// fence is the last statement of every transaction on a PostgreSQL server. Two things can go wrong there that SQLite does not know:
//
//   - Another timbridge writes, because the session that held our lock was cut off and the server has given the lock away. Our
//     transactions may still be under way in other sessions.
//   - The connection is lost while we wait for the answer to a COMMIT. It may have gone through; doing the same again could do it twice.
//
// One row of the state table answers both. It holds a mark that every commit changes from the one we know to a new one. If the mark is
// not ours, somebody else has begun to write, and the transaction fails. If an answer is lost, the row tells: reading it waits for a
// transaction that is still changing it, and then the mark is the old one or the new one.
//
// The committer's goroutine owns it, but for takenOver and yield. A nil fence, that of SQLite, lets everything through.
type fence struct {
	own   *bridgedb.Store
	owner string // tells this process from all others
	n     uint64
	at    string // the mark of the last commit that went through
	next  string // the mark of the one under way
	doubt bool   // next may have gone through
	// over is closed by anybody, once, when another has claimed the database, or is known to.
	over chan struct{}
	once sync.Once
	// patience is how long those wait whose commit may have gone through.
	patience time.Duration
}

func newFence(b *Bridge) *fence {
	if b.db.Dialect != dbutil.Postgres {
		return nil
	}
	return &fence{own: b.own, owner: rand.Text(), over: make(chan struct{}), patience: settleTimeout}
}

// claim makes the database ours. Whoever wrote to it before can do so no more.
func (f *fence) claim(ctx context.Context) error {
	if f == nil {
		return nil
	}
	f.at = f.mark()
	return f.own.SetValue(ctx, bridgedb.KeyCommit, f.at)
}

func (f *fence) mark() string {
	f.n++
	return f.owner + " " + strconv.FormatUint(f.n, 10)
}

// takenOver is closed when another timbridge has claimed the database; nil where that cannot be.
func (f *fence) takenOver() <-chan struct{} {
	if f == nil {
		return nil
	}
	return f.over
}

// before must be called before a transaction begins: it fails as long as the outcome of the last one is not known.
func (f *fence) before(ctx context.Context) error {
	if f == nil {
		return nil
	}
	if f.isOver() {
		return errTakenOver
	}
	if f.doubt {
		_, err := f.look(ctx)
		return err
	}
	return nil
}

// within is the last thing in a transaction.
func (f *fence) within(ctx context.Context) error {
	if f == nil {
		return nil
	}
	f.next = f.mark()
	ours, err := f.own.MoveMark(ctx, f.at, f.next)
	if err == nil && !ours {
		err = errTakenOver
	}
	return err
}

// ended turns the error with which a transaction ended into the one with which it did: a lost answer is asked for.
func (f *fence) ended(ctx context.Context, err error) error {
	switch {
	case f == nil:
		return err
	case err == nil:
		f.at = f.next
		return nil
	case errors.Is(err, errTakenOver):
		f.end()
		return err
	case !errors.Is(err, dbutil.ErrTxnCommit) || database.Conflicted(err):
		return err
	}
	f.doubt = true
	deadline := time.Now().Add(f.patience)
	for {
		committed, unknown := f.look(ctx)
		switch {
		case unknown == nil && committed:
			return nil
		case unknown == nil:
			return err
		case errors.Is(unknown, errTakenOver):
			return unknown
		case time.Now().After(deadline) || f.isOver() || !sleep(ctx, settlePause):
			return fmt.Errorf("%w (%w)", errOutcome, err)
		}
	}
}

// look finds out whether the commit in doubt went through.
func (f *fence) look(ctx context.Context) (committed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTry)
	defer cancel()
	mark, err := f.own.Mark(ctx)
	if err != nil {
		return false, fmt.Errorf("%w (%w)", errOutcome, err)
	}
	switch mark {
	case f.next:
		f.at, f.doubt = f.next, false
		return true, nil
	case f.at:
		f.doubt = false
		return false, nil
	default:
		f.end()
		return false, errTakenOver
	}
}

// yield is for who hears in another way that another timbridge leads. Nothing is written from then on, and nobody waits until it can be.
func (f *fence) yield() {
	if f != nil {
		f.end()
	}
}

func (f *fence) end() { f.once.Do(func() { close(f.over) }) }

func (f *fence) isOver() bool {
	select {
	case <-f.over:
		return true
	default:
		return false
	}
}
