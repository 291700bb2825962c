package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxStatements is how many statements a connection keeps, maxStatement how long a text one is kept of. A statement takes some ten
// kilobytes.
const (
	maxStatements = 128
	maxStatement  = 4096
)

// keepingConnector makes connections to SQLite that keep the statements that they have prepared. The packages that own tables write
// the same few statements over and over, and to parse one takes longer than to run it: measured, a call of sendMessageReadReceipts
// spent two thirds of its time on that.
type keepingConnector struct{ driver.Connector }

// sqliteConn is what the driver's connections can do, and database/sql asks for.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// Connect implements driver.Connector.
func (k keepingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	base, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("failed to connect: the driver's %T lacks something", conn), conn.Close())
	}
	return &keepingConn{sqliteConn: base, kept: make(map[string]keptStmt)}, nil
}

// keptStmt is a prepared statement.
type keptStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keepingConn is one connection. database/sql lets one goroutine use it at a time.
type keepingConn struct {
	sqliteConn
	// kept are the statements that nobody is using, by their text. One that is in use, because its rows are still being read, is not
	// here: whoever wants the same one meanwhile gets another.
	kept map[string]keptStmt
}

// take gets a statement out of those kept, or prepares one.
func (c *keepingConn) take(ctx context.Context, query string) (keptStmt, error) {
	if stmt, ok := c.kept[query]; ok {
		delete(c.kept, query)
		return stmt, nil
	}
	stmt, err := c.PrepareContext(ctx, withoutNumbers(query))
	if err != nil {
		return nil, err
	}
	kept, ok := stmt.(keptStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("failed to prepare: the driver's %T lacks something", stmt), stmt.Close())
	}
	return kept, nil
}

// put keeps a statement for later, or closes it.
func (c *keepingConn) put(query string, stmt keptStmt) error {
	if _, twice := c.kept[query]; twice || !repeated(query) {
		return stmt.Close()
	}
	if len(c.kept) >= maxStatements {
		for other, old := range c.kept { // any: what is used often is soon back
			delete(c.kept, other)
			if err := old.Close(); err != nil {
				return errors.Join(err, stmt.Close())
			}
			break
		}
	}
	c.kept[query] = stmt
	return nil
}

// repeated tells statements that come again from those that make tables and settings. (Of several in one text only the first counts, and
// those begin with CREATE.)
func repeated(query string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(query), " ")
	switch word {
	case "SELECT", "INSERT", "UPDATE", "DELETE":
		return len(query) <= maxStatement
	default:
		return false
	}
}

// ExecContext implements driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := stmt.ExecContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, stmt.Close()) // nobody knows how it has been left
	}
	return result, c.put(query, stmt)
}

// QueryContext implements driver.QueryerContext.
func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	stmt, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, stmt.Close())
	}
	return &keepingRows{rows, c, query, stmt}, nil
}

// Close implements driver.Conn.
func (c *keepingConn) Close() error {
	var errs []error
	for _, stmt := range c.kept {
		errs = append(errs, stmt.Close())
	}
	clear(c.kept)
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// keepingRows gives its statement back when it is closed.
type keepingRows struct {
	driver.Rows
	conn  *keepingConn
	query string
	stmt  keptStmt // nil once it is closed
}

// Close implements driver.Rows.
func (r *keepingRows) Close() error {
	if r.stmt == nil {
		return nil
	}
	stmt := r.stmt
	r.stmt = nil
	if err := r.Rows.Close(); err != nil {
		return errors.Join(err, stmt.Close())
	}
	return r.conn.put(r.query, stmt)
}

// withoutNumbers writes ?1, ?2, ?3 as ?, ?, ? where they come in that order, each once. SQLite looks for a numbered parameter, and the
// driver for each of them, by going through all: long lists would cost the square of their length.
func withoutNumbers(query string) string {
	var b strings.Builder
	b.Grow(len(query))
	for i, want := 0, 1; i < len(query); {
		switch c := query[i]; {
		case c == '\'' || c == '"' || c == '`':
			end := strings.IndexByte(query[i+1:], c)
			if end < 0 {
				return query
			}
			b.WriteString(query[i : i+end+2])
			i += end + 2
		case c == '?':
			end := i + 1
			for end < len(query) && query[end] >= '0' && query[end] <= '9' {
				end++
			}
			if query[i+1:end] != strconv.Itoa(want) {
				return query
			}
			b.WriteByte('?')
			i, want = end, want+1
		case strings.HasPrefix(query[i:], "--"), strings.HasPrefix(query[i:], "/*"), c == '[':
			return query // comments and the other quotes need no care: nobody here writes parameters with them
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}
