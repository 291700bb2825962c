package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/dbutil"
)

// story tells what happened in a group's room, in its order, with the numbers that messages have and with the receipts of people: for
// whoever looks into a violation.
func (w *world) story(g *group) string {
	v, err := w.look(g)
	if err != nil {
		return err.Error()
	}
	seqOf := make(map[string]uint64)
	for _, row := range v.rows {
		seqOf[row.EventId] = row.MsgSeq
	}
	type line struct {
		place int64
		text  string
	}
	var lines []line
	add := func(place int64, format string, args ...any) {
		lines = append(lines, line{place, fmt.Sprintf(format, args...)})
	}
	for _, ev := range v.events {
		add(w.hs.place(ev.ID), "%s seq %d: %s %s", ev.Sender, seqOf[string(ev.ID)], ev.Type, body(ev))
	}
	for _, c := range v.changes {
		add(w.hs.place(c.Event), "%s: %s at %s, taken %s", c.User, c.Membership, c.At.UTC().Format("15:04:05.000"), w.takenAt(string(c.Event)).UTC().Format("15:04:05.000"))
	}
	for _, s := range v.shown {
		add(w.hs.place(s.Event), "shows %s of %s %s", s.Type, s.User, s.Thread)
	}
	w.ledger.mu.Lock()
	for _, up := range w.ledger.reads {
		if up.room == g.room {
			add(w.hs.place(up.event), "was read by %s", up.by)
		}
	}
	for _, up := range w.ledger.pushes {
		if up.room == g.room {
			add(w.hs.place(up.event), "was pushed as read by %s", up.by)
		}
	}
	for key, moves := range w.ledger.moves {
		for _, mv := range moves {
			if key.group == g.id {
				add(0, "%s in the group: %t, from %s to %s", key.person.name, mv.joined, mv.at.from.UTC().Format("15:04:05.000"), mv.at.to.UTC().Format("15:04:05.000"))
			}
		}
	}
	for _, a := range w.ledger.acks {
		if a.group == g {
			add(0, "%s acknowledges %v %v: %d, from %s", a.by.name, a.ids, a.seqs, a.state, a.at.from.UTC().Format("15:04:05.000"))
		}
	}
	w.ledger.mu.Unlock()
	for _, c := range v.atTencent {
		add(0, "at Tencent seq %d: %q of %s, receipt %t, recalled %t, read by %v, here by %v", c.Seq, c.Text, c.From, c.HasReceipt, c.Recalled,
			w.cloud.ReadBy(g.id, c.Seq), v.read[c.Seq])
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.place - b.place) })
	var out strings.Builder
	fmt.Fprintf(&out, "%s, room %s\n", g.id, g.room)
	for _, l := range lines {
		fmt.Fprintf(&out, "%6d %s\n", l.place, l.text)
	}
	return out.String()
}

// dump shows the first rows of a table, for people who look into what is under way.
func (w *world) dump(ctx context.Context, db *dbutil.Database, table string) (lines []string) {
	where := ""
	if table == "tim_join" {
		where = " WHERE due IS NOT NULL"
	}
	rows, err := db.Query(ctx, "SELECT * FROM "+table+where+" LIMIT 3")
	if err != nil {
		return []string{err.Error()}
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return []string{err.Error()}
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err = rows.Scan(values...); err != nil {
			return append(lines, err.Error())
		}
		var cells []string
		for i, name := range columns {
			text := fmt.Sprint(*values[i].(*any))
			cells = append(cells, name+"="+text[:min(len(text), 60)])
		}
		lines = append(lines, table+" "+strings.Join(cells, " "))
	}
	return lines
}
