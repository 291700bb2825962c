package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"

	"maunium.net/go/mautrix/bridgev2/database"
)

// plan is what is put into a database: the same people, groups and messages as timbridge gets. Formats of rooms and users are
// fmt.Sprintf's, given by the benchmark so that both bridges are sent the very same transactions.
type plan struct {
	path                    string
	groups, users, messages int
	room, user              string
	firstMS                 int64
	indexes                 bool
}

// seed writes a database with bridgev2's own tables.
func seed(args []string) (err error) {
	var p plan
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	flags.StringVar(&p.path, "db", "", "the file")
	flags.IntVar(&p.groups, "groups", 20, "how many groups")
	flags.IntVar(&p.users, "users", 50, "how many users are in each")
	flags.IntVar(&p.messages, "messages", 500, "how many messages each group has")
	flags.StringVar(&p.room, "room", "", "room ID by group")
	flags.StringVar(&p.user, "user", "", "MXID by user")
	flags.Int64Var(&p.firstMS, "first", 1727580296000, "when the first message was sent; each next one a second later")
	flags.BoolVar(&p.indexes, "indexes", false, "only add the two indexes on the time of messages that bridgev2 lacks")
	if err = flags.Parse(args); err != nil {
		return err
	}
	ctx := zerolog.Nop().WithContext(context.Background())
	db, err := dbutil.NewFromConfig("megabridge/bench-bridgev2", dbutil.Config{PoolConfig: dbutil.PoolConfig{
		Type: "sqlite3-fk-wal", URI: "file:" + p.path + "?_txlock=immediate", MaxOpenConns: 1, MaxIdleConns: 1,
	}}, nil)
	if err != nil {
		return fmt.Errorf("failed to open database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	bridge := database.New("", database.MetaTypes{}, db)
	if p.indexes {
		return index(ctx, bridge)
	}
	if err = bridge.Upgrade(ctx); err != nil {
		return fmt.Errorf("failed to make tables: %w", err)
	}
	// Nobody misses the file should the machine fail now, and a million messages take a while.
	if _, err = bridge.Exec(ctx, "PRAGMA synchronous=OFF; PRAGMA cache_size=-400000"); err != nil {
		return fmt.Errorf("failed to set up database: %w", err)
	}
	return bridge.DoTxn(ctx, nil, func(ctx context.Context) error {
		if err := p.people(ctx, bridge); err != nil {
			return err
		}
		for g := range p.groups {
			if err := p.group(ctx, bridge, g); err != nil {
				return err
			}
		}
		return nil
	})
}

func index(ctx context.Context, bridge *database.Database) error {
	for _, query := range []string{
		// For GetMessagesBetweenTimeQuery, which every receipt makes ...
		"CREATE INDEX message_time_idx ON message (bridge_id, room_id, room_receiver, timestamp)",
		// ... and for the queries of the last message at or before a time.
		"CREATE INDEX message_time_order_idx ON message (bridge_id, room_id, room_receiver, timestamp DESC, id DESC, part_id DESC)",
		"ANALYZE",
	} {
		if _, err := bridge.Exec(ctx, query); err != nil {
			return fmt.Errorf("failed to index messages: %w", err)
		}
	}
	return nil
}

// people makes the users, each with a login, and the ghost that sends all messages.
func (p *plan) people(ctx context.Context, bridge *database.Database) error {
	if _, err := bridge.Exec(ctx, `INSERT INTO ghost (bridge_id, id, name, avatar_id, avatar_hash, avatar_mxc, name_set, avatar_set, contact_info_set,
		is_bot, identifiers, metadata) VALUES ('', 'sender', 'Sender', '', '', '', true, true, true, false, '[]', '{}')`); err != nil {
		return fmt.Errorf("failed to add ghost: %w", err)
	}
	for u := range p.users {
		mxid := fmt.Sprintf(p.user, u)
		if _, err := bridge.Exec(ctx, `INSERT INTO "user" (bridge_id, mxid) VALUES ('', $1)`, mxid); err != nil {
			return fmt.Errorf("failed to add user: %w", err)
		}
		if _, err := bridge.Exec(ctx, `INSERT INTO user_login (bridge_id, user_mxid, id, remote_name, metadata) VALUES ('', $1, $2, $2, '{}')`, mxid, login(u)); err != nil {
			return fmt.Errorf("failed to add login: %w", err)
		}
	}
	return nil
}

// eventID is that of internal/bench/people.go.
func eventID(g, m int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "event %d %d", g, m))
	return "$" + base64.RawURLEncoding.EncodeToString(sum[:])
}

func login(u int) string { return fmt.Sprintf("login%d", u) }

func (p *plan) group(ctx context.Context, bridge *database.Database, g int) error {
	portal := fmt.Sprintf("group%d", g)
	if _, err := bridge.Exec(ctx, `INSERT INTO portal (bridge_id, id, receiver, mxid, name, topic, avatar_id, avatar_hash, avatar_mxc, name_set, avatar_set,
		topic_set, in_space, room_type, metadata) VALUES ('', $1, '', $2, $1, '', '', '', '', true, true, true, false, '', '{}')`, portal, fmt.Sprintf(p.room, g)); err != nil {
		return fmt.Errorf("failed to add portal: %w", err)
	}
	for u := range p.users {
		if _, err := bridge.Exec(ctx, `INSERT INTO user_portal (bridge_id, user_mxid, login_id, portal_id, portal_receiver, in_space, preferred)
			VALUES ('', $1, $2, $3, '', false, false)`, fmt.Sprintf(p.user, u), login(u), portal); err != nil {
			return fmt.Errorf("failed to add user to portal: %w", err)
		}
	}
	for m := range p.messages {
		sent := time.UnixMilli(p.firstMS).Add(time.Duration(m) * time.Second).UnixNano()
		if _, err := bridge.Exec(ctx, `INSERT INTO message (bridge_id, id, part_id, mxid, room_id, room_receiver, sender_id, sender_mxid, timestamp, edit_count,
			double_puppeted, metadata) VALUES ('', $1, '', $2, $3, '', 'sender', '@bench_sender:localhost', $4, 0, false, '{}')`,
			fmt.Sprintf("group%d:%d", g, m+1), eventID(g, m), portal, sent); err != nil {
			return fmt.Errorf("failed to add message: %w", err)
		}
	}
	return nil
}
