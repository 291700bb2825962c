package bridge

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/dbutil"
	"modernc.org/sqlite"
)

// simDisk is the database of a simulated machine: SQLite in memory, over one connection that outlives every bridge that uses it. What
// was committed is there for the next one, what was not is gone.
type simDisk struct {
	conn  driver.Conn
	stmts map[string]*simStmt // prepared once; most of the time of a run would go into preparing
}

// sqliteConn is what is used of the driver's connection beside driver.Conn.
type sqliteConn interface {
	driver.ConnBeginTx
	Serialize() ([]byte, error)
	Deserialize(buf []byte) error
}

// newSimDisk makes a disk with the content of another one, or an empty one.
func newSimDisk(t testing.TB, content []byte) *simDisk {
	connector, err := sqlite.NewConnector("file::memory:?_txlock=immediate&_pragma=foreign_keys(1)&_pragma=synchronous(0)")
	require.NoError(t, err)
	conn, err := connector.Connect(context.Background())
	require.NoError(t, err)
	if content != nil {
		require.NoError(t, conn.(sqliteConn).Deserialize(content))
	}
	return &simDisk{conn: conn, stmts: make(map[string]*simStmt)}
}

func (d *simDisk) content(t testing.TB) []byte {
	content, err := d.conn.(sqliteConn).Serialize()
	require.NoError(t, err)
	return content
}

func (d *simDisk) close() {
	for _, stmt := range d.stmts {
		_ = stmt.Stmt.Close() // its own Close keeps it
	}
	_ = d.conn.Close()
}

// open gives a bridge its access, which ends when it crashes or closes it.
func (d *simDisk) open(t testing.TB, p *simPower) *dbutil.Database {
	raw := sql.OpenDB(&simConn{disk: d, power: p})
	raw.SetMaxOpenConns(1)
	db, err := dbutil.NewWithDB(raw, "sqlite")
	require.NoError(t, err)
	return db
}

var errPowerCut = errors.New("power cut")

// simPower is what keeps a bridge going. When it is cut nothing of that bridge reaches the disk or a wire any more.
type simPower struct {
	mu   sync.Mutex
	left int           // how many more times the disk is used; 0: for ever
	cut  chan struct{} // closed when it is gone
}

func newSimPower() *simPower { return &simPower{cut: make(chan struct{})} }

// cutAfter cuts the power when the disk has been used n more times: in the middle of whatever goes on then.
func (p *simPower) cutAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = n
}

// use tells whether there is still power.
func (p *simPower) use() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left > 0 {
		if p.left--; p.left == 0 && !p.isCut() {
			close(p.cut)
		}
	}
	if p.isCut() {
		return errPowerCut
	}
	return nil
}

func (p *simPower) isCut() bool {
	select {
	case <-p.cut:
		return true
	default:
		return false
	}
}

// simConn is a bridge's connection to the disk; it is its own connector. There is never more than one, see open.
type simConn struct {
	disk  *simDisk
	power *simPower
	tx    driver.Tx
}

// Connect implements driver.Connector.
func (c *simConn) Connect(context.Context) (driver.Conn, error) { return c, c.power.use() }

// Driver implements driver.Connector.
func (c *simConn) Driver() driver.Driver { return nil }

// Close implements driver.Conn. The disk stays.
func (c *simConn) Close() error { return c.Rollback() }

// Begin implements driver.Conn.
func (c *simConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements driver.ConnBeginTx.
func (c *simConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := errors.Join(ctx.Err(), c.power.use()); err != nil {
		return nil, err
	}
	tx, err := c.disk.conn.(driver.ConnBeginTx).BeginTx(context.WithoutCancel(ctx), opts)
	c.tx = tx
	return c, err
}

// Commit implements driver.Tx. The power may go before it, or after it and before anybody hears of it.
func (c *simConn) Commit() error {
	if err := c.power.use(); err != nil {
		return errors.Join(err, c.Rollback())
	}
	tx := c.tx
	c.tx = nil
	return errors.Join(tx.Commit(), c.power.use())
}

// Rollback implements driver.Tx.
func (c *simConn) Rollback() error {
	if c.tx == nil {
		return nil
	}
	tx := c.tx
	c.tx = nil
	return tx.Rollback()
}

// Prepare implements driver.Conn. A statement that is still being read is prepared once more.
func (c *simConn) Prepare(query string) (driver.Stmt, error) {
	if err := c.power.use(); err != nil {
		return nil, err
	}
	kept := c.disk.stmts[query]
	if kept != nil && !kept.busy {
		kept.busy = true
		return kept, nil
	}
	stmt, err := c.disk.conn.Prepare(query)
	if err != nil || kept != nil {
		return stmt, err
	}
	kept = &simStmt{Stmt: stmt, busy: true}
	c.disk.stmts[query] = kept
	return kept, nil
}

// simStmt is a statement that is kept when it is closed.
type simStmt struct {
	driver.Stmt
	busy bool
}

// Close implements driver.Stmt.
func (s *simStmt) Close() error {
	s.busy = false
	return nil
}

// ExecContext implements driver.StmtExecContext. What has begun is finished: it takes no time.
func (s *simStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.Stmt.(driver.StmtExecContext).ExecContext(context.WithoutCancel(ctx), args)
}

// QueryContext implements driver.StmtQueryContext.
func (s *simStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.Stmt.(driver.StmtQueryContext).QueryContext(context.WithoutCancel(ctx), args)
}
