package deepcheck

import (
	"context"
	"fmt"
	"time"

	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// aheadOf is when a time lies too far ahead to be a clock that is a little off.
const aheadOf = 24 * time.Hour

func (c *check) future() int64 { return c.opts.Now.Add(aheadOf).UnixMilli() }

func (c *check) parkedRules() []rule {
	return []rule{
		{"room %v, user %v: %v receipts are parked, more than there may be", fmt.Sprintf(`SELECT room_id, user_id, COUNT(*) FROM tim_parked
			GROUP BY room_id, user_id HAVING COUNT(*) > %d`, receiptsdb.MaxParked)},
		{"room %v, user %v: a receipt is parked since %v (ms), which is yet to come", fmt.Sprintf(`SELECT room_id, user_id, since_ms FROM tim_parked
			WHERE since_ms > %d OR since_ms <= 0`, c.future())},
		{"room %v, user %v: a parked receipt names no event", `SELECT room_id, user_id FROM tim_parked WHERE event_id = '' OR room_id = '' OR user_id = ''`},
	}
}

func (c *check) callbackRules() []rule {
	const names = `SELECT COALESCE(g.group_id, CAST(c.group_key AS TEXT)), COALESCE(u.user_id, CAST(c.user_key AS TEXT)), c.seq`
	const tables = ` FROM tim_callback c LEFT JOIN tim_group g ON g.group_key = c.group_key LEFT JOIN tim_user u ON u.user_key = c.user_key WHERE `
	return []rule{
		{"group %v, user %v: he is to be told of message %v, and one of these is not known", names + tables + `g.group_key IS NULL OR u.user_key IS NULL
			OR NOT EXISTS (SELECT 1 FROM tim_message m WHERE m.group_key = c.group_key AND m.seq = c.seq)`},
		{"group %v, user %v: the cursor of message %v, %v, is beyond the last", names + `, c.cursor` + tables +
			`c.cursor < 1 OR c.cursor > ` + lastCursor()},
		{"group %v, user %v: message %v changed at %v (ms), which is yet to come", names + `, c.at_ms` + tables + fmt.Sprintf(`c.at_ms > %d OR c.at_ms < 0`, c.future())},
	}
}

// work checks the lists of what is to be done.
func (c *check) work(ctx context.Context, part string) (string, error) {
	var total int64
	for _, list := range workRules() {
		var n int64
		if err := c.db.QueryRow(ctx, "SELECT COUNT(*) FROM "+list.table).Scan(&n); err != nil {
			return "", fmt.Errorf("failed to count rows: %w", err)
		}
		total += n
		for _, r := range list.rules {
			if err := c.apply(ctx, part, r); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("%d looked at", total), nil
}

type tableRules struct {
	table string
	rules []rule
}

// refers makes the rules that the group or the user of a row must be known. what and name say what the row is. User 0 is nobody in particular.
func refers(table, what, name string, group, user bool) (rules []rule) {
	if group {
		rules = append(rules, rule{what + " %v: group %v is not known", `SELECT ` + name + `, group_key FROM ` + table + ` t
			WHERE NOT EXISTS (SELECT 1 FROM tim_group g WHERE g.group_key = t.group_key)`})
	}
	if user {
		rules = append(rules, rule{what + " %v: user %v is not known", `SELECT ` + name + `, user_key FROM ` + table + ` t
			WHERE user_key <> 0 AND NOT EXISTS (SELECT 1 FROM tim_user u WHERE u.user_key = t.user_key)`})
	}
	return rules
}

func workRules() []tableRules {
	return []tableRules{
		{"tim_outbox", append(refers("tim_outbox", "outgoing message", "txn_id", true, true),
			rule{"outgoing message %v: message %v of group %v is not known", `SELECT txn_id, seq, group_key FROM tim_outbox o
				WHERE seq <> 0 AND redacts = '' AND NOT EXISTS (SELECT 1 FROM tim_message m WHERE m.group_key = o.group_key AND m.seq = o.seq)`},
			rule{"outgoing message %v: its event is in the room already, at place %v", `SELECT o.txn_id, m.pos FROM tim_outbox o
				JOIN tim_message m ON m.group_key = o.group_key AND m.seq = o.seq WHERE o.seq <> 0 AND o.redacts = '' AND m.pos IS NOT NULL`},
			rule{"outgoing message %v: its content is damaged", `SELECT txn_id, COALESCE(NULLIF(content, ''), 'nothing') FROM tim_outbox WHERE redacts = ''`})},
		{"tim_relay", append(refers("tim_relay", "message for Tencent", "event_id", true, true),
			rule{"message for Tencent %v: its kind %v, part %v or random %v is none", `SELECT event_id, kind, part, random FROM tim_relay
				WHERE kind NOT IN ('send', 'edit', 'recall') OR part < 0 OR random < 0 OR random > 4294967295`},
			rule{"message for Tencent %v: its content is damaged", `SELECT event_id, content, parts FROM tim_relay`})},
		{"tim_join", append(refers("tim_join", "place in group of user", "user_key", true, false), refers("tim_join", "place in group", "group_key", false, true)...)},
		{"tim_pause", append(refers("tim_pause", "pause with code", "code", true, false),
			rule{"pause of group %v: it ends (%v) before it began (%v)", `SELECT group_key, until, since FROM tim_pause WHERE until < since`})},
		{"tim_private", refers("tim_private", "wish about receipts of", "user_key", false, true)},
		{"tim_room_task", append(refers("tim_room_task", "ghost in room", "room_id", false, true),
			rule{"ghost in room %v: the room is not known", `SELECT DISTINCT room_id FROM tim_room_task t WHERE NOT EXISTS (SELECT 1 FROM tim_room r WHERE r.room_id = t.room_id)`})},
		{"tim_feed", append(refers("tim_feed", "new message with cursor", "cursor", true, false),
			rule{"new message with cursor %v: message %v of group %v is not known", `SELECT cursor, seq, group_key FROM tim_feed f
				WHERE NOT EXISTS (SELECT 1 FROM tim_message m WHERE m.group_key = f.group_key AND m.seq = f.seq)`},
			rule{"new message with cursor %v: its content is damaged", `SELECT cursor, COALESCE(NULLIF(body, ''), 'nothing') FROM tim_feed`},
			rule{"new message with cursor %v: that is beyond the last cursor", `SELECT cursor FROM tim_feed
				WHERE cursor < 1 OR cursor > ` + lastCursor()})},
	}
}

// lastCursor is the last cursor given.
func lastCursor() string {
	return `COALESCE((SELECT ` + number("value") + ` FROM tim_state WHERE key = 'cursor'), 0)`
}

func stateRules() []rule {
	last, value, group := lastCursor(), number("value"), number("SUBSTR(key, 11)")
	return []rule{
		{"%v is %v, which is no number", `SELECT key, value FROM tim_state WHERE key IN ('cursor', 'cursor_floor', 'backend', 'webhook') AND (value = '' OR LTRIM(value, '0123456789') <> '')`},
		{"%v is %v, beyond the last cursor %v", `SELECT key, value, ` + last + ` FROM tim_state WHERE key IN ('cursor_floor', 'backend') AND ` + value + ` > ` + last},
		{"%v: there is no such group", `SELECT key FROM tim_state WHERE key LIKE 'caught!_up!_%' ESCAPE '!'
			AND NOT EXISTS (SELECT 1 FROM tim_group g WHERE g.group_key = ` + group + `)`},
		{"%v is %v, beyond the group's last number %v", `SELECT key, value, g.last_seq FROM tim_state JOIN tim_group g ON g.group_key = ` + group + `
			WHERE key LIKE 'caught!_up!_%' ESCAPE '!' AND ` + value + ` > g.last_seq`},
	}
}
