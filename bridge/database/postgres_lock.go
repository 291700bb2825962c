package database

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
)

const (
	// lockClass is the first half of our advisory lock's number, "timb"; the other half stands for the schema that our tables are in.
	lockClass = 0x74696d62
	// lockCheck is how often the session with the lock is looked after. One that has ended is noticed at once, this is for one that
	// has been cut without a word.
	lockCheck = 5 * time.Second
	// lockRetry is how long to wait before a lost lock is tried for again.
	lockRetry = 250 * time.Millisecond
	// lockPatience is how long we wait for a lock that is held when we start: the server takes a moment to notice that the timbridge
	// before us has been killed.
	lockPatience = 2 * time.Second
)

// ErrLockLost: the session that holds the lock has ended, and nobody knows whether another timbridge has the lock now. It passes: the
// lock is taken again as soon as the server lets us.
var ErrLockLost = errors.New("the connection that keeps other timbridges out of this database is lost")

// keeper holds the advisory lock in a session of its own. While it does not, [keeper.held] is an error and no connection is given out.
// It is safe for concurrent use.
type keeper struct {
	server server
	log    *zerolog.Logger
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex
	lost error
}

// takeServerLock takes the lock and keeps it until Close. It is [ErrLocked] if another session has it.
func takeServerLock(ctx context.Context, s server) (*keeper, error) {
	var conn *pgx.Conn
	for deadline := time.Now().Add(lockPatience); ; {
		var err error
		if conn, err = s.lockSession(ctx); err == nil {
			break
		} else if !errors.Is(err, ErrLocked) || time.Now().After(deadline) || !pause(ctx, lockRetry/5) {
			return nil, err
		}
	}
	watch, cancel := context.WithCancel(context.WithoutCancel(ctx))
	k := &keeper{server: s, log: zerolog.Ctx(ctx), cancel: cancel, done: make(chan struct{})}
	go k.run(watch, conn)
	return k, nil
}

// lockSession connects and takes the lock.
func (s server) lockSession(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return nil, err
	}
	var locked bool
	err = conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))", lockClass).Scan(&locked)
	if err == nil && !locked {
		err = fmt.Errorf("%w%s", ErrLocked, serverLockHolder(ctx, conn))
	}
	if err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// lockHolders picks the sessions with the lock; $1 is lockClass.
const lockHolders = `FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = (hashtext(current_schema())::bigint & 4294967295)
	AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// serverLockHolder names who holds the lock, if the server tells.
func serverLockHolder(ctx context.Context, conn *pgx.Conn) string {
	var name string
	err := conn.QueryRow(ctx, `SELECT application_name FROM pg_stat_activity WHERE pid IN (SELECT pid `+lockHolders+`)`, lockClass).Scan(&name)
	if err != nil || name == "" {
		return ""
	}
	return " (" + name + ")"
}

// run looks after the session that holds the lock, and takes the lock again when it has ended.
func (k *keeper) run(ctx context.Context, conn *pgx.Conn) {
	defer close(k.done)
	for {
		err := watchSession(ctx, conn)
		giveBack(ctx, conn)
		if ctx.Err() != nil {
			return
		}
		k.set(fmt.Errorf("%w (%w)", ErrLockLost, err))
		k.log.Warn().Err(err).Msg("The database connection that holds the lock is lost, nothing is read or written until it is taken again")
		if conn = k.again(ctx); conn == nil {
			return
		}
		k.set(nil)
		k.log.Info().Msg("The lock on the database is taken again")
	}
}

// again takes the lock until it succeeds; nil when ctx has ended.
func (k *keeper) again(ctx context.Context) *pgx.Conn {
	for attempt := 0; ; attempt++ {
		conn, err := k.server.lockSession(ctx)
		if err == nil {
			return conn
		}
		k.set(fmt.Errorf("%w (%w)", ErrLockLost, err))
		if attempt%240 == 239 { // once in a minute or more
			k.log.Warn().Err(err).Msg("The lock on the database cannot be taken again yet")
		}
		if !pause(ctx, lockRetry) {
			return nil
		}
	}
}

// pause waits, and is false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// giveBack ends a session. Where it still answers, the lock is free when this returns: the server would notice the end of the
// connection only a moment later, and who starts next would find the lock taken.
func giveBack(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, "SELECT pg_advisory_unlock_all()") // the connection may be gone, and the lock with it
	_ = conn.Close(ctx)
}

// watchSession returns when a session has ended, or ctx.
func watchSession(ctx context.Context, conn *pgx.Conn) error {
	for {
		wait, cancel := context.WithTimeout(ctx, lockCheck)
		_, err := conn.WaitForNotification(wait) // nobody notifies: it returns when the connection ends
		cancel()
		if err != nil && !pgconn.Timeout(err) || ctx.Err() != nil {
			return err
		}
		ping, cancel := context.WithTimeout(ctx, lockCheck)
		err = conn.Ping(ping)
		cancel()
		if err != nil {
			return err
		}
	}
}

func (k *keeper) set(lost error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost = lost
}

// held is an error as long as the lock is lost.
func (k *keeper) held() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// Close gives the lock back.
func (k *keeper) Close() error {
	k.cancel()
	<-k.done
	return nil
}
