package chaos

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/database"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

const (
	// idleWithin is how long it may take once nothing is under way: three times the catch-up.
	idleWithin = 35 * time.Second
	// slowAfter is when is said what is waited for.
	slowAfter = 25 * time.Second
)

// settle lets everything go, waits until nothing is on its way and both sides are as they must be, and notes what is not.
func (w *world) settle() {
	w.letGo()
	began := time.Now()
	var idleSince time.Time
	var found []violation
	open, slow := "nothing was looked at", false
	for good := 0; good < 2; {
		if !rest(w.t.Context(), 150*time.Millisecond) {
			break
		}
		if open = w.underWay(); open != "" {
			idleSince, good = time.Time{}, 0
		} else if found = w.compare(); len(found) > 0 {
			good = 0
		} else {
			good++
			continue
		}
		if idleSince.IsZero() && open == "" {
			idleSince = time.Now()
		}
		if !slow && time.Since(began) > w.kind.patience(slowAfter) {
			slow = true
			w.keep()
			w.t.Logf("seed %d takes its time: %s %v", w.seed, open, found[:min(len(found), 3)])
		}
		if time.Since(began) > w.kind.settles() || !idleSince.IsZero() && time.Since(idleSince) > w.kind.patience(idleWithin) {
			break
		}
	}
	if open != "" {
		w.stats.violated(violation{"pending", "all work", "nothing under way after " + w.kind.settles().String(), open})
		found = w.compare()
	}
	for _, v := range found {
		w.stats.violated(v)
	}
}

// deepCheck has timbridge itself look for nonsense in its database, beside the running one.
func (w *world) deepCheck() {
	cmd := exec.CommandContext(w.t.Context(), binary, "-c", w.bridge.Config(), "check", "--deep")
	cmd.Dir, cmd.Env = w.bridge.Dir, w.bridge.Environment()
	if output, err := cmd.CombinedOutput(); err != nil {
		w.stats.violated(violation{"check --deep", "database", "ok", string(output)})
	}
}

// letGo ends all faults and sees to it that timbridge runs.
func (w *world) letGo() {
	w.toHS.setStorm(0)
	w.toBridge.setStorm(0)
	w.toHS.setCut(false)
	w.toBridge.setCut(false)
	w.hs.repair()
	w.disk.free()
	if w.cloud != nil {
		w.cloud.StopFailing()
		w.cloud.SetOutage(false)
		w.cloud.SetLatency(0)
		w.cloud.Deliver(nil)
	}
	if err := w.startAll(w.t.Context()); err != nil {
		w.stats.violated(violation{"process", "timbridge", "to start", err.Error()})
	}
}

// underWay says what is not done yet; "" if all is.
func (w *world) underWay() string {
	if open := w.hs.underWay(); open != "" {
		return open
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 3*time.Second)
	defer cancel()
	if w.cloud != nil {
		soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if w.cloud.WaitDelivered(soon) != nil {
			return "webhooks"
		}
	}
	open, err := w.pending(ctx)
	if err != nil {
		return err.Error()
	}
	return open
}

// pending asks timbridge's own stores what is due soon.
func (w *world) pending(ctx context.Context) (string, error) {
	db, err := database.OpenReadOnly(ctx, w.database)
	if err != nil {
		return "", err
	}
	defer db.Close()
	markers, err := receiptsdb.New(db).Pending(ctx, time.Now().Add(3*time.Second))
	if err != nil {
		return "", err
	}
	messages, members, err := bridgedb.New(db).Pending(ctx)
	if err != nil {
		return "", err
	}
	parked, err := w.parked(ctx, db)
	if err != nil {
		return "", err
	}
	if markers+messages+members+parked == 0 {
		return "", nil
	}
	var details []string
	for _, table := range []string{"tim_outbox", "tim_relay", "tim_room_task", "tim_join", "tim_parked"} {
		details = append(details, w.dump(ctx, db, table)...)
	}
	return fmt.Sprintf("%d receipts, %d messages, %d members, %d parked receipts: %s", markers, messages, members, parked, strings.Join(details, "; ")), nil
}

// parked counts the receipts that wait for their event. One on what was written while a group was parted from its room may do so. Dendrite never pushes redactions (0.15.2), so a receipt on one is kept for good;
// it has been taken as one on the event before it.
func (w *world) parked(ctx context.Context, db *dbutil.Database) (n int, err error) {
	unheard := make(map[string]bool)
	for _, g := range w.groups {
		for _, ev := range w.hs.Timeline(g.room) {
			unheard[string(ev.ID)] = g.relinked || w.kind.dendrite && ev.Type == "m.room.redaction"
		}
	}
	rows, err := db.Query(ctx, "SELECT event_id FROM tim_parked")
	if err != nil {
		return 0, fmt.Errorf("failed to list parked receipts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var event string
		if err = rows.Scan(&event); err != nil {
			return 0, fmt.Errorf("failed to read parked receipt: %w", err)
		}
		if !unheard[event] {
			n++
		}
	}
	return n, rows.Err()
}
