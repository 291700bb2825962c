package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/internal/lab"
)

const (
	burstReaders  = 200
	burstMessages = 50
	burstGroup    = "burst"
	burstWait     = 2 * time.Minute
)

// measureBurstMatrix: many people read many messages at the same moment, on the scripted homeserver.
func measureBurstMatrix(ctx context.Context, s *suite) error {
	r := &realm{name: "scripted homeserver"}
	return s.burst(ctx, r, r.scripted)
}

// measureBurstHomeserver is the same on a real homeserver, where there is one (make lab).
func measureBurstHomeserver(ctx context.Context, s *suite) error {
	var missing *lab.MissingError
	for _, kind := range []lab.Kind{lab.Dendrite, lab.Synapse} {
		err := lab.Available(kind)
		if errors.As(err, &missing) {
			s.say("    left out: %v", err)
			continue
		} else if err != nil {
			return err
		}
		r := &realm{name: "real " + string(kind)}
		return s.burst(ctx, r, r.real(kind))
	}
	return nil
}

// crowd is a group of many readers that is bridged with a room of a realm.
type crowd struct {
	*bridge
	realm   *realm
	room    id.RoomID
	readers []id.UserID
	sender  *v2timtest.Client
	admin   *v2timtest.Client
	heads   *calls
}

func (s *suite) burst(ctx context.Context, r *realm, begin func(ctx context.Context, registration string) error) (err error) {
	if err = r.front(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.end()) }()
	b, err := s.newBridge("burst-"+strings.ReplaceAll(r.name, " ", "-"), setting{homeserver: r.url, maxMembers: -1})
	if err != nil {
		return err
	}
	registration, err := b.registration(ctx)
	if err == nil {
		err = begin(ctx, registration)
	}
	if err == nil {
		err = b.begin(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	c := &crowd{bridge: b, realm: r}
	if err = c.gather(ctx); err != nil {
		return err
	}
	w, err := r.watchAs(ctx, r.owner)
	if err != nil {
		return err
	}
	defer w.end()
	runs := min(s.runs, 3) // each is a hundred messages sent
	var requests, bridged, bare []float64
	for range runs {
		n, took, err := c.bridged(ctx, w)
		if err != nil {
			return err
		}
		requests, bridged = append(requests, float64(n)), append(bridged, took.Seconds())
		if took, err = c.bare(ctx, w); err != nil {
			return err
		}
		bare = append(bare, took.Seconds())
	}
	made, last, ceiling := value("", requests...), value("", bridged...), value("200 receipts without a bridge", bare...)
	s.add(Line{
		Name: "burst to Matrix, " + r.name + ": receipt requests for 10,000 acks", Unit: "", Ours: made,
		BridgeV2: []Value{value("one for each, by construction", burstReaders*burstMessages)}, Ceiling: []Value{value("readers", burstReaders)},
		Targets: []Goal{atMost("≤ 300", made.Median, 300)},
	})
	s.add(Line{
		Name: "burst to Matrix, " + r.name + ": until the last is seen by /sync", Unit: "s", Ours: last, Ceiling: []Value{ceiling},
		Targets: []Goal{atMost("≤ 1.2 × without a bridge", per(last.Median, ceiling.Median), 1.2)},
	})
	return nil
}

// gather makes the room and the group, and waits until everybody is in.
func (c *crowd) gather(ctx context.Context) (err error) {
	var room struct {
		RoomID id.RoomID `json:"room_id"`
	}
	if err = c.realm.do(ctx, c.realm.owner, http.MethodPost, "/createRoom", nil, map[string]any{"preset": "public_chat"}, &room); err != nil {
		return err
	}
	c.room = room.RoomID
	base := "http://" + loopback(c.apiPort)
	if c.admin, err = v2timtest.New(base, sdkAppID, secretKey, adminID); err != nil {
		return err
	}
	if c.sender, err = v2timtest.New(base, sdkAppID, secretKey, "sender"); err != nil {
		return err
	}
	members := []string{"sender"}
	for u := range burstReaders {
		members = append(members, appID(u))
		c.readers = append(c.readers, ghost(appID(u)))
	}
	if c.heads, err = newCalls(town{apps: burstReaders}); err != nil {
		return err
	}
	if _, err = c.admin.MapGroup(ctx, v2tim.MapGroupRequest{GroupId: burstGroup, RoomId: c.room.String(), MemberList: v2timtest.Accounts(members...)}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, burstWait)
	defer cancel()
	for {
		var in struct {
			Joined map[id.UserID]struct{} `json:"joined"`
		}
		if err = c.realm.do(ctx, c.realm.owner, http.MethodGet, "/rooms/"+url.PathEscape(c.room.String())+"/joined_members", nil, nil, &in); err != nil {
			return err
		}
		if len(in.Joined) >= len(members)+2 { // the bot and the owner
			return c.quiet(ctx)
		}
		if err = pause(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("only %d of %d are in the room: %w", len(in.Joined), len(members)+2, err)
		}
	}
}

// messages has the sender send some and waits until they are in the room and known to be there.
func (c *crowd) messages(ctx context.Context) (ids []string, last id.EventID, err error) {
	ctx, cancel := context.WithTimeout(ctx, burstWait)
	defer cancel()
	for i := range burstMessages {
		sent, err := c.sender.SendText(ctx, burstGroup, "message "+strconv.Itoa(i))
		if err != nil {
			return nil, "", err
		}
		ids = append(ids, sent.MsgID)
	}
	for {
		list, err := c.admin.GetGroupMessages(ctx, v2tim.GetGroupMessagesRequest{GroupId: burstGroup, ReqMsgNumber: burstMessages})
		if err != nil {
			return nil, "", err
		}
		there := 0
		for _, m := range list.RspMsgList {
			if m.EventId != "" {
				there++
			}
		}
		if there == burstMessages {
			return ids, id.EventID(list.RspMsgList[0].EventId), c.quiet(ctx) // newest first
		}
		if err = pause(ctx, 50*time.Millisecond); err != nil {
			return nil, "", fmt.Errorf("only %d messages are in the room: %w", there, err)
		}
	}
}

// bridged has everybody read everything by calls to timbridge, in two each as the SDKs do, and waits until the last is seen.
func (c *crowd) bridged(ctx context.Context, w *watch) (requests int64, took time.Duration, err error) {
	ids, last, err := c.messages(ctx)
	if err != nil {
		return 0, 0, err
	}
	var list [][]byte
	for _, part := range [][]string{ids[:30], ids[30:]} {
		body := `{"messageIDList":["` + strings.Join(part, `","`) + `"]}`
		for _, head := range c.heads.heads {
			list = append(list, fmt.Appendf(nil, "%s%d\r\n\r\n%s", head, len(body), body))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, burstWait)
	defer cancel()
	before, began := c.realm.receipts.Load(), time.Now()
	if _, err = load(ctx, loopback(c.apiPort), callers, len(list), func(i int) []byte { return list[i] }, acknowledged); err != nil {
		return 0, 0, err
	}
	if err = w.wait(ctx, c.readers, last); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if err = c.quiet(ctx); err != nil { // what comes after counts too
		return 0, 0, err
	}
	return c.realm.receipts.Load() - before, took, nil
}

// bare sets a receipt of each reader at the homeserver itself, as many at a time as timbridge does, and waits until the last is seen.
func (c *crowd) bare(ctx context.Context, w *watch) (time.Duration, error) {
	_, last, err := c.messages(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, burstWait)
	defer cancel()
	path := "/rooms/" + url.PathEscape(c.room.String()) + "/receipt/m.read/" + url.PathEscape(last.String())
	began := time.Now()
	slots, failed := make(chan struct{}, 8), make(chan error, len(c.readers)) // matrix.concurrency
	for _, reader := range c.readers {
		slots <- struct{}{}
		go func() {
			failed <- c.realm.do(ctx, account{token: asToken, as: reader}, http.MethodPost, path, nil, map[string]any{}, nil)
			<-slots
		}()
	}
	for range c.readers {
		if err = errors.Join(err, <-failed); err != nil {
			return 0, err
		}
	}
	if err = w.wait(ctx, c.readers, last); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}
