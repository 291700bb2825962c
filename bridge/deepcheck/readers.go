package deepcheck

import (
	"context"
	"fmt"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// groupPage is how many groups are listed at a time, entryPage how much of a room is read at a time.
const (
	groupPage = 100
	entryPage = 2000
)

// readers checks what is stored of each reader against the messages of his group.
func (c *check) readers(ctx context.Context, part string) (string, error) {
	for _, r := range []rule{
		{"reader of group %v, user %v: there is no such group", `SELECT group_key, user_key FROM tim_reader t WHERE NOT EXISTS (SELECT 1 FROM tim_group g WHERE g.group_key = t.group_key)`},
		{"reader of group %v, user %v: there is no such user", `SELECT group_key, user_key FROM tim_reader t WHERE NOT EXISTS (SELECT 1 FROM tim_user u WHERE u.user_key = t.user_key)`},
	} {
		if err := c.apply(ctx, part, r); err != nil {
			return "", err
		}
	}
	imported, err := c.own.Value(ctx, bridgedb.KeyImported)
	if err != nil {
		return "", err
	}
	for after := ""; ; {
		groups, err := c.maps.Groups(ctx, after, groupPage)
		if err != nil || len(groups) == 0 {
			if err != nil {
				return "", err
			}
			break
		}
		for _, g := range groups {
			err = c.reading(ctx, func(ctx context.Context) error { return c.group(ctx, part, g.Key, imported == "yes") })
			if err != nil {
				return "", fmt.Errorf("group %q: %w", g.GroupID, err)
			}
		}
		after = groups[len(groups)-1].GroupID
	}
	text, err := c.rows(ctx, "tim_reader")
	if imported == "yes" {
		text += "; an import has not been gone through, start timbridge for that"
	}
	return text, err
}

// group checks the readers of one group. Within an import that has not been gone through, what is behind is not wrong.
func (c *check) group(ctx context.Context, part string, key mapping.GroupKey, imported bool) error {
	g, err := c.maps.GroupByKey(ctx, key)
	if err != nil {
		return err
	}
	rows, err := c.reads.AllReaders(ctx, key)
	if err != nil || len(rows) == 0 {
		return err
	}
	w := &walk{check: c, part: part, group: g, imported: imported, rules: receipts.FrontierRules{Now: c.opts.Now, GapAfter: c.opts.GapAfter, HoleAfter: c.opts.HoleAfter}}
	if w.rules.Floor, err = c.floor(ctx, g); err != nil {
		return err
	}
	if err = w.meet(ctx, rows); err != nil {
		return err
	}
	if g.RoomID == "" {
		return nil
	}
	head, err := c.maps.Head(ctx, g.RoomID)
	if err != nil {
		return err
	}
	for _, who := range w.who {
		who.within(w, head)
	}
	for after := receipts.Pos(0); ; {
		page, err := c.maps.Entries(ctx, key, after, entryPage)
		if err != nil {
			return err
		}
		for _, who := range w.who {
			who.pass(w, page)
		}
		if len(page) < entryPage {
			break
		}
		after = page[len(page)-1].Pos
	}
	for _, who := range w.who {
		who.end(w)
	}
	return nil
}

// floor is below what nothing counts, as the bridge sees it.
func (c *check) floor(ctx context.Context, g mapping.Group) (receipts.Pos, error) {
	if g.LinkedPosKnown || g.RoomID == "" {
		return g.LinkedPos, nil
	}
	head, err := c.maps.Head(ctx, g.RoomID)
	if err != nil {
		return 0, err
	}
	found, err := c.maps.MessagesBelow(ctx, g.Key, head, 4*c.opts.Window)
	if err != nil {
		return 0, err
	}
	ms := make([]receipts.Message, len(found))
	for i, m := range found {
		ms[i] = m.Message
	}
	return receipts.WindowFloor(ms, c.opts.Window), nil
}

// meet looks at the rows by themselves, and keeps those that are to be compared with the room.
func (w *walk) meet(ctx context.Context, rows []receiptsdb.Row) error {
	keys := make([]mapping.UserKey, len(rows))
	for i, row := range rows {
		keys[i] = row.User
	}
	users, err := w.maps.UsersByKey(ctx, keys)
	if err != nil {
		return err
	}
	memberships, err := w.maps.MembershipOf(ctx, w.group.Key, keys)
	if err != nil {
		return err
	}
	claimed, err := w.claimMax(ctx)
	if err != nil {
		return err
	}
	for _, row := range rows {
		who := &person{row: row, user: users[row.User], membership: memberships[row.User]}
		if row.Damage != nil {
			w.problem(w.part, "damaged", "%s: the row is damaged and left alone (%v); to give it up: DELETE FROM tim_reader WHERE group_key=%d AND user_key=%d",
				w.name(who), row.Damage.Err, row.Group, row.User)
			continue
		}
		who.alone(w, claimed[row.User])
		if who.user.Key != 0 && who.user.AliasOf == 0 { // who has become part of a linked user keeps his row for the case that they part again
			w.who = append(w.who, who)
		}
	}
	return nil
}

// claimMax reads the column claim_max of the group's readers.
func (w *walk) claimMax(ctx context.Context) (map[receipts.UserKey]receipts.Pos, error) {
	rows, err := w.db.Query(ctx, "SELECT user_key, claim_max FROM tim_reader WHERE group_key = $1", w.group.Key)
	if err != nil {
		return nil, fmt.Errorf("failed to read claims: %w", err)
	}
	defer rows.Close()
	claimed := make(map[receipts.UserKey]receipts.Pos)
	for rows.Next() {
		var user receipts.UserKey
		var pos receipts.Pos
		if err = rows.Scan(&user, &pos); err != nil {
			return nil, fmt.Errorf("failed to read claims: %w", err)
		}
		claimed[user] = pos
	}
	return claimed, rows.Err()
}
