package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
)

// probeEventType is the event that `timbridge check` sends to see that the homeserver pushes to us.
const probeEventType = "com.github.timbridge.probe"

// Finding is one line of a check.
type Finding struct {
	Name string
	OK   bool
	Text string // what was found, or what to do
}

// probeWait is how long a probe has to come back. Synapse backs off for minutes after failures; a ping ends that.
const probeWait = 20 * time.Second

// pushWait is how long a pushed receipt has to come, if the event before it came quickly; else it has that many times as long as the event
// took. Homeservers that push receipts do so as fast as events, and for those that do not this is all waited in vain.
const pushWait, pushWaitTimes = 5 * time.Second, 5

// Check looks whether the bridge can do its work: it reaches the homeserver, is known to it, can be reached by it, and the
// database answers. Each finding is told to report as soon as it is known; ok is whether all are good.
//
// If alone is true no other timbridge runs on this database: then Check listens and takes transactions itself while it looks, with
// everything that the running bridge does, so that nothing the homeserver delivers meanwhile is lost. Otherwise the running
// bridge is seen at work through the database.
func (b *Bridge) Check(ctx context.Context, alone bool, report func(Finding)) (ok bool) {
	ok = true
	say := func(name string, err error, good string, advice string) bool {
		f := Finding{Name: name, OK: err == nil, Text: good}
		if err != nil {
			ok = false
			f.Text = fmt.Sprintf("%s (%v)", advice, err)
		}
		report(f)
		return err == nil
	}
	if alone {
		if !say("database", b.prepare(ctx), "opened and up to date", "the database cannot be used; see database.uri") {
			return false
		}
	} else if !say("schema", CheckCurrent(ctx, b.db), "the tables are of this version", "this is not the version that runs") {
		return false
	}
	counts, err := b.maps.Counts(ctx)
	if !say("tables", err, fmt.Sprintf("%d groups, %d messages, %d users", counts.Groups, counts.Messages, counts.Users), "the database cannot be read") {
		return false
	}
	if b.cfg.Replica.Enabled && !alone {
		b.checkReplicas(ctx, say)
	}
	if !say("homeserver", b.reachHomeserver(ctx), b.cfg.Homeserver.Address+" answers", "the homeserver does not answer; see homeserver.address") {
		return false
	}
	if !say("registration", b.hs.EnsureBot(ctx), fmt.Sprintf("the homeserver knows us, the bot is %s", b.bot()),
		"the homeserver does not accept our as_token: install registration.yaml there and restart it") {
		return false
	}
	if alone {
		stop, err := b.listenForCheck(ctx)
		if !say("listen", err, "listening for the homeserver", "cannot listen; see appservice.hostname and appservice.port") {
			return false
		}
		defer stop()
	}
	b.checkDelivery(ctx, say, report)
	b.checkRooms(ctx, say)
	if b.cloud != nil {
		b.checkCloud(ctx, say, report)
	}
	return ok
}

func (b *Bridge) reachHomeserver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.cfg.Homeserver.Address+"/_matrix/client/versions", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	return nil
}

// listenForCheck takes what the homeserver delivers, durably, without starting to send anything.
func (b *Bridge) listenForCheck(ctx context.Context) (stop func(), err error) {
	server, err := b.listenAt(b.matrixAPI())
	if err != nil {
		return nil, err
	}
	b.ctx, b.stop = context.WithCancel(b.log.WithContext(context.WithoutCancel(ctx)))
	go b.commits.run()
	go func() { _ = server.Serve() }()
	return func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.cfg.Bridge.StopTimeout)
		defer cancel()
		_ = server.Shutdown(stopCtx)
		b.stop()
		b.tasks.Wait()
		b.commits.close()
		b.hs.Close()
	}, nil
}

type sayFunc func(name string, err error, good string, advice string) bool

// checkDelivery proves that what happens on the homeserver reaches us, and finds out whether receipts do.
func (b *Bridge) checkDelivery(ctx context.Context, say sayFunc, report func(Finding)) {
	const advice = "the homeserver cannot reach us at appservice.address; check that address from the homeserver's machine"
	err := b.hs.Ping(ctx)
	pinged := err == nil
	if !errors.Is(err, matrix.ErrUnsupported) && !say("ping", err, "the homeserver reaches us", advice) {
		return
	}
	event, room, err := b.sendProbe(ctx)
	sent := time.Now()
	if err == nil {
		err = b.waitValue(ctx, bridgedb.KeyProbeEvent, event.String(), probeWait)
	}
	came := time.Since(sent)
	if !say("delivery", err, "an event of our own came back", advice) && !pinged {
		return
	}
	if err = b.hs.SendReceipt(ctx, b.bot(), room, event); err != nil {
		say("receipts", err, "", "the bot cannot send a receipt")
		return
	}
	if b.waitValue(ctx, bridgedb.KeyProbePushed, event.String(), min(max(pushWait, pushWaitTimes*came), probeWait)) == nil {
		report(Finding{Name: "receipts", OK: true, Text: "the homeserver pushes receipts"})
		return
	}
	report(Finding{Name: "receipts", OK: true, Text: "the homeserver does not push receipts (Dendrite never does, older Synapse needs receive_ephemeral in the registration): the bot reads them by /sync"})
}

// sendProbe sends an event into the bot's own room, which is made at the first check.
func (b *Bridge) sendProbe(ctx context.Context) (id.EventID, id.RoomID, error) {
	value, err := b.own.Value(ctx, bridgedb.KeyProbeRoom)
	if err != nil {
		return "", "", err
	}
	room := id.RoomID(value)
	content, err := json.Marshal(map[string]int64{"at": b.clock().UnixMilli()})
	if err != nil {
		return "", "", err
	}
	txnID := "probe_" + strconv.FormatInt(b.clock().UnixNano(), 36)
	if room != "" {
		event, err := b.hs.SendEvent(ctx, b.bot(), room, probeEventType, content, txnID, time.Time{})
		if !errors.Is(err, matrix.ErrForbidden) && !errors.Is(err, matrix.ErrNotFound) {
			return event, room, err
		}
	}
	if room, err = b.hs.CreateRoom(ctx, "timbridge check"); err != nil {
		return "", "", err
	}
	// A check beside a running bridge reads the database only, so the room is made again each time.
	if err = b.own.SetValue(ctx, bridgedb.KeyProbeRoom, room.String()); err != nil {
		b.log.Debug().Err(err).Msg("The room of the check is not kept")
	}
	event, err := b.hs.SendEvent(ctx, b.bot(), room, probeEventType, content, txnID, time.Time{})
	return event, room, err
}

// waitValue waits, for some time, until the state table says want under key.
func (b *Bridge) waitValue(ctx context.Context, key, want string, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		value, err := b.own.Value(ctx, key)
		if err == nil && value == want {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return errors.New("nothing came back in time")
		}
	}
}

// checkRooms looks whether the bot is in every bridged room.
func (b *Bridge) checkRooms(ctx context.Context, say sayFunc) {
	err := b.eachMapped(ctx, func(g mapping.Group) error {
		// Synapse tells the bot who is in a room as long as one of our ghosts is.
		members, err := b.hs.JoinedMembers(ctx, g.RoomID)
		if err == nil && !slices.Contains(members, b.bot()) {
			err = errors.New("it is not in the room")
		}
		say("room of "+g.GroupID, err, "the bot is in "+g.RoomID.String(), fmt.Sprintf("invite %s into %s", b.bot(), g.RoomID))
		return nil
	})
	if err != nil {
		say("rooms", err, "", "the groups cannot be listed")
	}
}
