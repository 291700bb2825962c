package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// PostgreSQL refuses texts that are no UTF-8 or hold a zero character; SQLite takes them as they are. Texts come from other people,
// and one that is refused would be a message, or a whole transaction of the homeserver, that never gets through. So such characters
// are replaced on their way to the database, in what is stored and in what is looked for.

// textConnector makes connections that take any text.
type textConnector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c textConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, fmt.Errorf("failed to prepare connection: it is a %T", conn)
	}
	return textConn{inner}, nil
}

// pgxConn is embedded under this name, so that pgx's connection has its method Conn, by which others get at what is below.
type pgxConn = stdlib.Conn

// textConn is pgx's connection, but for the texts among the parameters.
type textConn struct{ *pgxConn }

// CheckNamedValue implements driver.NamedValueChecker.
func (c textConn) CheckNamedValue(param *driver.NamedValue) error {
	switch v := param.Value.(type) {
	case string:
		param.Value = CleanText(v)
	case []string:
		clean := make([]string, len(v))
		for i, text := range v {
			clean[i] = CleanText(text)
		}
		param.Value = clean
	case sql.NullString:
		v.String = CleanText(v.String)
		param.Value = v
	case driver.Valuer:
	default:
		if text := reflect.ValueOf(v); text.Kind() == reflect.String {
			param.Value = CleanText(text.String())
		}
	}
	return nil
}

// CleanText is a text as PostgreSQL keeps it.
func CleanText(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	return strings.ReplaceAll(text, "\x00", "\uFFFD")
}
