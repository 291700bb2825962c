package bridge

import (
	"cmp"
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
		ready: c.b.writable,
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
		var wait time.Duration
		now.Attempts, wait = c.b.again(now.Attempts, err)
		now.Due = s.now.Add(wait)
		if errors.As(err, &unsent) {
			now.Tried, now.SentAs = false, ""
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
	} else if g.SeqSource != mapping.SeqSourceCloud {
		return &givenUp{"A message was not delivered: the group has left Tencent Cloud."}
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
	if r.Tried && r.Random == random && keepsHistory(g) {
		sent, found, err := c.lookBack(ctx, g, u, r)
		if err != nil {
			return err
		} else if found {
			return c.sent(ctx, r, u, sent)
		}
	}
	// Under the account that it was tried as Tencent knows a repeat, which the history may not show yet.
	account := u.UserID
	if r.Tried && r.Random == random {
		account = cmp.Or(r.SentAs, account)
	}
	failed, err := c.ensureAccounts(ctx, []mapping.User{u})
	if err != nil {
		return err
	} else if failed[u.Key] {
		return errors.New("the sender's account could not be made")
	}
	r.Random, r.Tried, r.SentAs, r.Due = random, true, account, c.b.clock().Add(relayLease)
	if current, err := c.begun(ctx, r); err != nil || !current {
		return err
	}
	part := parts[r.Part]
	msg := tencent.GroupMsg{
		GroupId: g.GroupID, From_Account: account, Random: random, CloudCustomData: part.CloudCustomData, NeedReadReceipt: tencent.Flag(hasReceipts(g)),
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
	if bool(msg.NeedReadReceipt) && refusesReceipts(err) {
		msg.NeedReadReceipt = false
		answer, err = c.client.SendGroupMsg(ctx, msg)
	}
	switch {
	case err != nil:
		return c.refusedMessage(u, err)
	case answer.MsgSeq == 0 && answer.DropReason != "":
		return &givenUp{fmt.Sprintf("A message was not delivered to the Tencent group: Tencent dropped it (%s).", answer.DropReason)}
	case answer.MsgSeq == 0: // Tencent had it already
		return errors.New("the number of the message is not known: Tencent did not say it")
	case answer.DropReason != "":
		zerolog.Ctx(ctx).Warn().Str("reason", answer.DropReason).Msg("Tencent took a message and does not deliver it")
	}
	sent := sentPart{seq: answer.MsgSeq, at: answer.At, wants: receipts.WantsNo}
	if msg.NeedReadReceipt {
		sent.wants = receipts.WantsYes
	}
	return c.sent(ctx, r, u, sent)
}

// begun writes down that a part is about to be sent. It is not current when a webhook has told meanwhile that Tencent has it, or when it
// has been redacted in the room.
func (c *cloud) begun(ctx context.Context, r bridgedb.Relay) (current bool, err error) {
	err = c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		now, ok, err := s.b.own.RelayOf(ctx, r.EventID)
		if current = err == nil && ok && now.Part == r.Part; !current {
			s.work = true
			return err
		}
		return s.b.own.SaveRelay(ctx, r)
	})
	return current, err
}

// refusesReceipts tells that Tencent takes no message with read receipts here. It may take it without.
func refusesReceipts(err error) bool {
	return isCode(err, receipts.CodeReceiptNotIncluded) || isCode(err, receipts.CodeReceiptGroupTooLarge) || isCode(err, receipts.CodePermissionDeny)
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

// keepsHistory tells whether messages of groups of this type can be read later.
func keepsHistory(g *mapping.Group) bool { return g.Type != "AVChatRoom" }

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
