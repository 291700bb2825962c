package movedb

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/timbridge/timbridge/bridge/database"
)

// column is a column of the new database.
type column struct{ Name, Type string }

// reportEvery is after how many rows progress is told.
const reportEvery = 10_000

// copy copies the rows of a table. They go through a pipe as the text form of COPY.
func (m *move) copy(ctx context.Context, table Table, columns []column) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(c.Name)
	}
	list := strings.Join(names, ", ")
	out, in := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := m.write(ctx, in, columns, "SELECT "+list+" FROM "+quote(table.Name))
		written <- err
		_ = in.CloseWithError(err) // nil ends it in order
	}()
	_, err := m.to.PgConn().CopyFrom(ctx, out, "COPY "+quote(table.Name)+" ("+list+") FROM STDIN")
	_ = out.CloseWithError(errors.New("nobody reads any more")) // so that write ends
	if wrote := <-written; err == nil || wrote != nil && ctx.Err() == nil && !strings.Contains(err.Error(), wrote.Error()) {
		err = errors.Join(err, wrote)
	}
	return err
}

// write reads rows and writes them as lines.
func (m *move) write(ctx context.Context, to io.Writer, columns []column, query string) error {
	rows, err := m.from.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, targets := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	buffered := bufio.NewWriterSize(to, 1<<20)
	var line []byte
	for rows.Next() {
		if err = rows.Scan(targets...); err != nil {
			return err
		}
		line = line[:0]
		for i, c := range columns {
			if i > 0 {
				line = append(line, '\t')
			}
			if line, err = appendValue(line, c, values[i]); err != nil {
				return err
			}
		}
		if _, err = buffered.Write(append(line, '\n')); err != nil {
			return err
		}
		if m.done++; m.progress != nil && (m.done%reportEvery == 0 || m.done == m.total) {
			m.progress(m.done, m.total)
		}
	}
	if err = rows.Err(); err != nil {
		return err
	}
	return buffered.Flush()
}

// appendValue appends a value in the text form of COPY.
func appendValue(line []byte, c column, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(line, `\N`...), nil
	case int64:
		if c.Type == "boolean" {
			return strconv.AppendBool(line, v != 0), nil
		}
		return strconv.AppendInt(line, v, 10), nil
	case bool:
		return strconv.AppendBool(line, v), nil
	case string:
		if c.Type == "bytea" {
			return appendBytes(line, []byte(v)), nil
		}
		return appendText(line, v), nil
	case []byte:
		if c.Type == "bytea" {
			return appendBytes(line, v), nil
		}
		return appendText(line, string(v)), nil
	default:
		return nil, fmt.Errorf("column %s holds a %T", c.Name, value)
	}
}

func appendBytes(line, value []byte) []byte {
	return hex.AppendEncode(append(line, `\\x`...), value)
}

func appendText(line []byte, value string) []byte {
	for _, c := range []byte(database.CleanText(value)) {
		switch c {
		case '\\':
			line = append(line, `\\`...)
		case '\t':
			line = append(line, `\t`...)
		case '\n':
			line = append(line, `\n`...)
		case '\r':
			line = append(line, `\r`...)
		default:
			line = append(line, c)
		}
	}
	return line
}
