package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
)

// other is the bridge on bridgev2, with the config that it writes itself but for what has to be said.
type other struct {
	server
	port int
	db   *sql.DB // a look at its database from outside
}

// variant is a way in which bridgev2 is run.
type variant struct {
	name    string
	indexes bool // the two indexes on the time of messages are added
	calm    bool // its log begins at info, like timbridge's, and not at debug
}

func variants() []variant {
	return []variant{{name: "as it ships"}, {"with two indexes", true, false}, {"with two indexes, log at info", true, true}}
}

// seedOther makes a database of bridgev2 of which each variant gets a copy.
func (s *suite) seedOther(ctx context.Context, t town) (path string, err error) {
	path = filepath.Join(s.dir, fmt.Sprintf("bridgev2-%d.db", t.messages))
	_, err = s.run(ctx, s.dir, s.bridgev2, "seed", "-db", path, "-groups", strconv.Itoa(t.groups), "-users", strconv.Itoa(t.matrixUsers),
		"-messages", strconv.Itoa(t.messages), "-room", roomFormat, "-user", userFormat, "-first", strconv.Itoa(firstMS))
	return path, err
}

func (s *suite) newOther(ctx context.Context, t town, from string, v variant) (o *other, err error) {
	o = &other{}
	o.name = "bridgev2"
	if o.dir, err = os.MkdirTemp(s.dir, "bridgev2-"); err != nil {
		return nil, fmt.Errorf("failed to make folder: %w", err)
	}
	if o.port, err = s.ports.Take(); err != nil {
		return nil, err
	}
	s.homeserver.knows(asToken, id.NewUserID("benchbot", lab.Domain), t.people())
	o.args = []string{s.bridgev2, "-c", o.path("config.yaml")}
	path := o.path("bridgev2.db")
	level := "debug"
	if v.calm {
		level = "info"
	}
	config := fmt.Sprintf(`homeserver:
    address: %s
    domain: %s
appservice:
    address: http://%s
    hostname: 127.0.0.1
    port: %d
    as_token: %s
    hs_token: %s
database:
    type: sqlite3-fk-wal
    uri: file:%s?_txlock=immediate
bridge:
    permissions:
        %s: user
logging:
    min_level: %s
`, s.homeserver.url, lab.Domain, loopback(o.port), o.port, asToken, hsToken, path, lab.Domain, level)
	if err = os.WriteFile(o.path("config.yaml"), []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("failed to write config: %w", err)
	}
	if err = o.seed(ctx, s, from, v, path); err != nil {
		return nil, err
	}
	if err = o.launch(ctx, o.port); err != nil {
		return nil, err
	}
	if o.db, err = sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)"); err != nil {
		return nil, errors.Join(fmt.Errorf("failed to look into database: %w", err), o.kill())
	}
	if err = o.quiet(ctx); err != nil {
		return nil, errors.Join(err, o.close())
	}
	return o, nil
}

// seed gives it its copy.
func (o *other) seed(ctx context.Context, s *suite, from string, v variant, path string) error {
	if err := copyFile(from, path); err != nil || !v.indexes {
		return err
	}
	_, err := s.run(ctx, o.dir, s.bridgev2, "seed", "-db", path, "-indexes")
	return err
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("failed to copy database: %w", err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("failed to copy database: %w", err)
	}
	_, err = io.Copy(out, in)
	// On the disk now, so that the disk is not still busy with it when the clock runs.
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("failed to copy database: %w", err)
	}
	return nil
}

// written counts the receipts that stand in its database: it keeps the time of the message up to which somebody has read.
func (o *other) written(ctx context.Context) (n int, err error) {
	err = o.db.QueryRowContext(ctx, "SELECT COALESCE(SUM((last_read - $1) / 1000000000 + 1), 0) FROM user_portal WHERE last_read IS NOT NULL", int64(firstMS)*1_000_000).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("failed to look into database of bridgev2: %w", err)
	}
	return n, nil
}

// wait waits until it has written n receipts in all.
func (o *other) wait(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		now, err := o.written(ctx)
		if err != nil || now >= n {
			return err
		}
		if err = pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("bridgev2 has written %d receipts of %d: %w", now, n, err)
		}
	}
}

// close ends it and removes its folder. It may take what it wants to end: nothing of it is needed any more.
func (o *other) close() error {
	return errors.Join(o.kill(), o.db.Close(), os.RemoveAll(o.dir))
}
