package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/relay"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file carries messages, edits and recalls from the room to Tencent. Messages are no sets: each has to be sent once. That it is
// about to be sent is committed before, with the MsgRandom by which it is known again; after an outcome that is unclear the group's
// history is asked before it is sent once more.

const (
	// relayLease is how long a message counts as under way.
	relayLease = 2 * time.Minute
	// historyPages is how far back the history is searched for a message whose sending had no answer.
	historyPages = 10
)

func (c *cloud) relayReconciler() *reconciler[bridgedb.Relay] {
	return &reconciler[bridgedb.Relay]{
		name:  "messages to tencent",
		limit: c.b.cfg.Tencent.Concurrency,
		due: func(ctx context.Context, limit int) ([]bridgedb.Relay, error) {
			return c.b.own.DueRelays(ctx, c.b.clock(), limit)
		},
		next:  c.b.own.NextRelay,
		key:   func(r bridgedb.Relay) string { return fmt.Sprint(r.Group, " ", r.User) },
		do:    c.carry,
		clock: c.b.clock,
		wake:  make(chan struct{}, 1),
	}
}

// givenUp is why something is not carried; it is told in the room.
type givenUp struct{ reason string }

func (e *givenUp) Error() string { return "not carried to Tencent: " + e.reason }

// unsentError tells that Tencent certainly has not got a message.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error { return e.error }

// carry does one step of what is under way and writes down what came of it.
func (c *cloud) carry(ctx context.Context, r bridgedb.Relay) {
	log := zerolog.Ctx(ctx).With().Stringer("event_id", r.EventID).Str("kind", string(r.Kind)).Logger()
	ctx = log.WithContext(ctx)
	err := c.tryCarry(ctx, r)
	if err == nil || errors.Is(err, errStopped) {
		return
	}
	if ctx.Err() != nil {
		return // stopping; it is looked for before it is sent again
	}
	var given *givenUp
	var temporary *tencent.TemporaryError
	var unsent *unsentError
	commitErr := c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		s.work = true // the sender's next one may go
		if errors.As(err, &given) {
			g, err := s.group(ctx, r.Group)
			if err != nil {
				return err
			}
			s.notice(g, given.reason, "failed_"+r.EventID.String())
			return s.b.own.DropRelay(ctx, r.EventID)
		}
		now, ok, err2 := s.b.own.RelayOf(ctx, r.EventID)
		if err2 != nil || !ok {
			return err2
		}
		now.Attempts++
		now.Due = s.now.Add(backoff(now.Attempts, 0))
		if errors.As(err, &temporary) {
			now.Due = s.now.Add(backoff(now.Attempts, temporary.RetryAfter))
		}
		if errors.As(err, &unsent) {
			now.Tried = false
		}
		return s.b.own.SaveRelay(ctx, now)
	})
	if commitErr != nil {
		log.Error().Err(commitErr).Msg("Failed to record what was carried to Tencent")
		sleep(ctx, errorPause)
	}
	if given != nil {
		log.Warn().Err(err).Msg("Gave up carrying to Tencent")
	} else {
		log.Warn().Err(err).Int("attempt", r.Attempts).Msg("Failed to carry to Tencent, will try again")
	}
}

func (c *cloud) tryCarry(ctx context.Context, r bridgedb.Relay) error {
	g, err := c.b.maps.GroupByKey(ctx, r.Group)
	if err != nil {
		return err
	} else if !inCloud(&g) {
		return errors.New("the group has no room now")
	}
	u, err := c.b.personByKey(ctx, r.User)
	if err != nil {
		return err
	}
	switch r.Kind {
	case bridgedb.RelayEdit:
		err = c.carryEdit(ctx, &g, u, r)
	case bridgedb.RelayRecall:
		err = c.carryRecall(ctx, &g, r)
	default:
		return c.carryMessage(ctx, &g, u, r)
	}
	if err != nil {
		return err
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		s.work = true
		return s.b.own.DropRelay(ctx, r.EventID)
	})
}

// relayRandom is the MsgRandom of a part of what an event says.
func relayRandom(event id.EventID, part int) uint32 {
	if part == 0 {
		return mapping.Random(event)
	}
	return mapping.Random(id.EventID(fmt.Sprintf("%s %d", event, part)))
}

// carryMessage sends the next part of a message.
func (c *cloud) carryMessage(ctx context.Context, g *mapping.Group, u mapping.User, r bridgedb.Relay) error {
	parts, err := c.translate(ctx, g, u, &r)
	if err != nil {
		return err
	}
	random := relayRandom(r.EventID, r.Part)
	if r.Tried && r.Random == random {
		sent, found, err := c.lookBack(ctx, g, u, r)
		if err != nil {
			return err
		} else if found {
			return c.sent(ctx, r, u, sent)
		}
	}
	failed, err := c.ensureAccounts(ctx, []mapping.User{u})
	if err != nil {
		return err
	} else if failed[u.Key] {
		return errors.New("the sender's account could not be made")
	}
	r.Random, r.Tried, r.Due = random, true, c.b.clock().Add(relayLease)
	if err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error { return s.b.own.SaveRelay(ctx, r) }); err != nil {
		return err
	}
	part := parts[r.Part]
	msg := tencent.GroupMsg{
		GroupId: g.GroupID, From_Account: u.UserID, Random: random, CloudCustomData: part.CloudCustomData, NeedReadReceipt: tencent.Flag(hasReceipts(g)),
	}
	for _, e := range part.Body {
		msg.MsgBody = append(msg.MsgBody, tencent.MsgElem(e))
	}
	if part.AtAll {
		msg.GroupAtInfo = append(msg.GroupAtInfo, tencent.GroupAt{GroupAtAllFlag: true})
	}
	for _, account := range part.AtAccounts {
		msg.GroupAtInfo = append(msg.GroupAtInfo, tencent.GroupAt{GroupAt_Account: account})
	}
	answer, err := c.client.SendGroupMsg(ctx, msg)
	if err != nil {
		return c.refusedMessage(u, err)
	}
	if answer.DropReason != "" {
		zerolog.Ctx(ctx).Warn().Str("reason", answer.DropReason).Msg("Tencent took a message and does not deliver it")
	}
	return c.sent(ctx, r, u, sentPart{seq: answer.MsgSeq, at: answer.At})
}

// refusedMessage tells what will never be taken from what may be taken later.
func (c *cloud) refusedMessage(u mapping.User, err error) error {
	var refused *tencent.APIError
	if !errors.As(err, &refused) {
		return err // it may have got there
	}
	temporary := (*tencent.TemporaryError)(nil)
	switch {
	case errors.As(err, &temporary):
		return &unsentError{err} // Tencent answered
	case refused.Code == receipts.CodeGroupAccountNotFound, refused.Code == receipts.CodeAccountNotImported:
		c.people.forget(u.Key)
		return &unsentError{err}
	}
	return &givenUp{fmt.Sprintf("A message was not delivered to the Tencent group: %s.", refused.Code)}
}

// hasReceipts tells whether groups of this type have read receipts at all.
func hasReceipts(g *mapping.Group) bool { return g.Type != "AVChatRoom" && g.Type != "Community" }

// translate turns an event into messages once; what it became is kept from the first try on.
func (c *cloud) translate(ctx context.Context, g *mapping.Group, u mapping.User, r *bridgedb.Relay) (parts []relay.TencentMessage, err error) {
	if r.Parts != "" {
		if err = json.Unmarshal([]byte(r.Parts), &parts); err != nil || r.Part >= len(parts) {
			return nil, fmt.Errorf("failed to read translated message: %w", err)
		}
		return parts, nil
	}
	parts, err = relay.ToTencent(json.RawMessage(r.Content), r.Type, c.matrixResolver(ctx, g, u))
	switch {
	case errors.Is(err, relay.ErrNothing):
		return nil, &givenUp{"A message was not delivered to the Tencent group: it is encrypted, or of a kind that apps cannot show."}
	case errors.Is(err, relay.ErrTooLong):
		return nil, &givenUp{"A message was not delivered to the Tencent group: it is too long."}
	case err != nil:
		return nil, err
	}
	raw, err := json.Marshal(parts)
	r.Parts = string(raw)
	return parts, err
}

// sentPart is what Tencent made of a part.
type sentPart struct {
	seq   receipts.MsgSeq
	msgID string // "" where it is not known yet
	at    time.Time
}

// lookBack searches the group's history for a part whose sending had no clear outcome.
func (c *cloud) lookBack(ctx context.Context, g *mapping.Group, u mapping.User, r bridgedb.Relay) (sent sentPart, found bool, err error) {
	from := receipts.MsgSeq(0)
	for range historyPages {
		page, err := c.client.GroupMsgGetSimple(ctx, g.GroupID, from, tencent.MaxHistory)
		if err != nil {
			return sent, false, err
		}
		for _, m := range page.Messages {
			if m.From_Account == u.UserID && uint32(m.MsgRandom) == r.Random && m.IsPlaceMsg != tencent.PlaceGone {
				return sentPart{seq: receipts.MsgSeq(m.MsgSeq), at: m.Time()}, true, nil
			}
			if at := m.Time(); !at.IsZero() && at.Before(r.At.Add(-time.Minute)) {
				return sent, false, nil
			}
		}
		if from = page.Next; from == 0 {
			break
		}
	}
	return sent, false, nil
}

func (c *cloud) sent(ctx context.Context, r bridgedb.Relay, u mapping.User, sent sentPart) error {
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.group(ctx, r.Group)
		if err != nil {
			return err
		}
		return s.relayed(ctx, g, u, r, sent)
	})
}

// relayed takes that Tencent has a part of a message; it may be told so twice, by the answer and by a webhook.
func (s *session) relayed(ctx context.Context, g *mapping.Group, u mapping.User, r bridgedb.Relay, sent sentPart) error {
	var parts []relay.TencentMessage
	if err := json.Unmarshal([]byte(r.Parts), &parts); err != nil {
		return fmt.Errorf("failed to read translated message: %w", err)
	}
	last := r.Part == len(parts)-1
	m := mapping.Message{Group: g.Key, Random: r.Random, HasRandom: true}
	m.Seq, m.MsgID, m.Sender, m.At, m.Wants = sent.seq, sent.msgID, u.Key, sent.at, receipts.WantsYes
	if !hasReceipts(g) {
		m.Wants = receipts.WantsNo
	}
	if last { // who has read this has read it all
		places, err := s.b.maps.Places(ctx, []id.EventID{r.EventID})
		if err != nil {
			return err
		}
		place := places[r.EventID]
		m.EventID, m.RoomID, m.Pos, m.Thread = r.EventID.String(), place.RoomID, place.Pos, place.Thread
	}
	if err := s.putMessage(ctx, g, m); err != nil {
		return err
	}
	s.work = true
	now, ok, err := s.b.own.RelayOf(ctx, r.EventID)
	if err != nil || !ok || now.Part != r.Part {
		return err
	}
	if last {
		return s.b.own.DropRelay(ctx, r.EventID)
	}
	now.Part, now.Random, now.Tried, now.Due, now.Attempts = now.Part+1, 0, false, s.now, 0
	return s.b.own.SaveRelay(ctx, now)
}

// putMessage makes a message known, or more of it, and says so to those who wait for it. One that stands in the way of another is
// logged and left.
func (s *session) putMessage(ctx context.Context, g *mapping.Group, m mapping.Message) error {
	changed, err := s.b.maps.PutMessages(ctx, []mapping.Message{m})
	if refusedForGood(err) {
		zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Uint64("seq", uint64(m.Seq)).Msg("Ignoring message that stands in the way of another")
		return nil
	} else if err != nil || !changed[0] {
		return err
	}
	g.LastSeq = max(g.LastSeq, m.Seq)
	ms, err := s.messagesBySeq(ctx, g.Key, receipts.SetOf(m.Seq))
	if err != nil {
		return err
	}
	return s.messagesLearnt(ctx, g, ms, false)
}
