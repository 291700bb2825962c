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
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// sameRandomFor is how long the same Random of the same sender means the same message (Tencent: send_group_msg).
const sameRandomFor = 5 * time.Minute

// SendMessage implements v2tim.Service: the message gets its seq and msgID and is durable before the answer; the room gets it
// from the outbox.
func (b service) SendMessage(ctx context.Context, caller string, msg v2tim.OutgoingMessage) (sent v2tim.SentMessage, err error) {
	u, err := b.person(ctx, caller)
	if err != nil && !isNotFound(err) {
		return sent, err
	}
	g, err := b.maps.GroupByID(ctx, msg.GroupID)
	if isNotFound(err) {
		return sent, noMember()
	} else if err != nil {
		return sent, err
	}
	r, err := newLookups(b.Bridge).resolveGroup(ctx, u, g.Key)
	switch {
	case err != nil:
		return sent, err
	case !r.CallerIsMember:
		return sent, noMember()
	case g.SeqSource != mapping.SeqSourceOwn:
		return sent, receipts.NewError(receipts.CodeInterfaceNotSupported, "messages of this group are numbered elsewhere; send them there")
	case g.RoomID == "":
		return sent, receipts.NewError(receipts.CodeGroupNotFound, "the group has no room now")
	}
	err = b.commits.do(ctx, func(ctx context.Context, s *session) error {
		var err error
		sent, err = s.sendMessage(ctx, g.Key, u, msg)
		return err
	})
	return sent, err
}

// noMember does not tell a stranger whether the group exists.
func noMember() error {
	return receipts.NewError(receipts.CodePermissionDeny, "not a member of the group")
}

func (s *session) sendMessage(ctx context.Context, group mapping.GroupKey, u mapping.User, msg v2tim.OutgoingMessage) (sent v2tim.SentMessage, err error) {
	g, err := s.group(ctx, group)
	if err != nil {
		return sent, err
	}
	if msg.HasRandom {
		m, err := s.b.maps.MessageByRandom(ctx, group, u.Key, msg.Random, s.now.Add(-sameRandomFor))
		if err == nil {
			return sentMessage(g, m), nil
		} else if !isNotFound(err) {
			return sent, err
		}
	}
	m := mapping.Message{Group: group, RoomID: g.RoomID, Random: msg.Random, HasRandom: msg.HasRandom}
	if m.Seq, err = s.b.maps.NextSeq(ctx, group); err != nil {
		return sent, err
	}
	g.LastSeq = m.Seq
	m.Sender, m.At, m.OnlineOnly, m.Wants = u.Key, s.now, msg.OnlineUserOnly, receipts.WantsNo
	if msg.NeedReadReceipt && !msg.OnlineUserOnly {
		m.Wants = receipts.WantsYes
	}
	if m.MsgID, err = s.msgID(ctx, g, u, &m); err != nil {
		return sent, err
	}
	if _, err = s.b.maps.PutMessages(ctx, []mapping.Message{m}); err != nil {
		return sent, err
	}
	if err = s.newMessage(ctx, g, m, u.UserID, msg.Text, msg.CustomData); err != nil {
		return sent, err
	}
	s.mapped = true
	// A message for those online now is nothing a room could forget again.
	if !m.OnlineOnly {
		if err = s.outgoing(ctx, g, m, msg); err != nil {
			return sent, err
		}
	}
	return sentMessage(g, m), nil
}

// msgID names a message by its random, as Tencent does. An app that says none, or one with which the same user has named a message
// in this very second (of another group), gets one of ours.
func (s *session) msgID(ctx context.Context, g *mapping.Group, u mapping.User, m *mapping.Message) (string, error) {
	ours := mapping.Random(id.EventID(fmt.Sprintf("%s %d", g.GroupID, m.Seq)))
	if !m.HasRandom {
		m.Random, m.HasRandom = ours, true
	}
	msgID := mapping.MsgID(u.UserID, s.now, m.Random)
	taken, err := s.b.maps.MessagesByMsgID(ctx, []string{msgID})
	if len(taken) > 0 {
		msgID = mapping.MsgID(u.UserID, s.now, ours)
	}
	return msgID, err
}

func sentMessage(g *mapping.Group, m mapping.Message) v2tim.SentMessage {
	return v2tim.SentMessage{MsgID: m.MsgID, Seq: uint64(m.Seq), GroupID: g.GroupID, Timestamp: m.At.Unix()}
}

// outgoing puts the Matrix form of a message into the outbox.
func (s *session) outgoing(ctx context.Context, g *mapping.Group, m mapping.Message, msg v2tim.OutgoingMessage) error {
	content := map[string]any{"msgtype": "m.text", "body": msg.Text}
	if msg.CustomData != "" {
		content["body"] = "[custom message] " + msg.CustomData
		content["com.tencent.im.custom_data"] = msg.CustomData
	}
	content[mapping.StampKey] = mapping.MarshalStamp(mapping.Stamp{GroupID: g.GroupID, MsgID: m.MsgID, Seq: m.Seq, NeedReadReceipt: m.Wants == receipts.WantsYes})
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("failed to marshal outgoing message: %w", err)
	}
	s.work = true
	return s.b.own.PutOutgoing(ctx, bridgedb.Outgoing{
		TxnID: messageTxnID(m.Group, m.Seq, m.Sender), Group: m.Group, User: m.Sender, Seq: m.Seq, RoomID: g.RoomID,
		Content: string(raw), SentAt: m.At, Due: s.now,
	})
}

// messageTxnID is the Matrix transaction id of a message. It names group, seq and sender because homeservers keep these ids per
// application service and not per ghost: the same id used by another ghost gets the first one's event back.
func messageTxnID(group mapping.GroupKey, seq receipts.MsgSeq, sender mapping.UserKey) string {
	return fmt.Sprintf("tim_%d_%d_%d", group, seq, sender)
}

// outboxLook is how many waiting messages are looked at for each that may be sent at a time: many may be for the same room.
const outboxLook = 16

func (b *Bridge) outboxReconciler() *reconciler[bridgedb.Outgoing] {
	return &reconciler[bridgedb.Outgoing]{
		name:  "outgoing messages",
		limit: b.cfg.Matrix.Concurrency,
		due: func(ctx context.Context, limit int) ([]bridgedb.Outgoing, error) {
			list, err := b.own.DueOutgoing(ctx, b.clock(), outboxLook*limit)
			return oldestOfEach(list), err
		},
		next:  b.own.NextOutgoing,
		key:   outgoingKey,
		ready: b.writable,
		do:    b.sendOutgoing,
		clock: b.clock,
		wake:  make(chan struct{}, 1),
	}
}

// outgoingKey has a room get one message after the other, so that they stand in it as they were sent. Sent side by side they have no
// order: a homeserver's clients and application services may see them differently (Dendrite 0.15.2 does so).
func outgoingKey(o bridgedb.Outgoing) string {
	if o.Redacts != "" {
		return o.TxnID
	}
	return o.RoomID.String()
}

// oldestOfEach keeps of what has the same key the message with the lowest seq, at the place of the first.
func oldestOfEach(list []bridgedb.Outgoing) []bridgedb.Outgoing {
	at := make(map[string]int, len(list))
	oldest := list[:0]
	for _, o := range list {
		key := outgoingKey(o)
		i, ok := at[key]
		switch {
		case !ok:
			at[key] = len(oldest)
			oldest = append(oldest, o)
		case o.Seq < oldest[i].Seq:
			oldest[i] = o
		}
	}
	return oldest
}

// sendOutgoing hands one message or redaction to the homeserver. Its place comes with its return in a transaction; should it not
// return, watchAwaited looks for it.
func (b *Bridge) sendOutgoing(ctx context.Context, o bridgedb.Outgoing) {
	log := zerolog.Ctx(ctx).With().Stringer("room_id", o.RoomID).Str("txn_id", o.TxnID).Logger()
	ctx = log.WithContext(ctx)
	eventID, err := b.trySend(ctx, o)
	if ctx.Err() != nil {
		return
	}
	commitErr := b.commits.do(ctx, func(ctx context.Context, s *session) error {
		if err != nil {
			attempts, wait := b.again(o.Attempts, err)
			s.work = true
			return b.own.DelayOutgoing(ctx, o.TxnID, s.now.Add(wait), attempts)
		}
		if o.Redacts == "" && o.Seq != 0 {
			if err := b.maps.PlaceMessage(ctx, o.Group, o.Seq, o.RoomID, eventID, 0); err != nil && !isConflict(err) {
				return err
			}
			if err := s.recalledMeanwhile(ctx, o.Group, o.Seq); err != nil {
				return err
			}
			s.after = append(s.after, func() { b.await(o.RoomID, eventID) })
		}
		s.work = true // the next one may go
		return b.own.DropOutgoing(ctx, o.TxnID)
	})
	switch {
	case commitErr != nil:
		log.Error().Err(commitErr).Msg("Failed to record outgoing message")
		sleep(ctx, errorPause) // it is still due, and would be sent again at once
	case err != nil:
		log.Warn().Err(err).Int("attempt", o.Attempts).Msg("Failed to send message to Matrix, will try again")
	default:
		log.Debug().Stringer("event_id", eventID).Msg("Sent message to Matrix")
	}
}

// recalledMeanwhile redacts the event of a message that was recalled at Tencent's while it was on its way to the room: the recall found
// no event.
func (s *session) recalledMeanwhile(ctx context.Context, group mapping.GroupKey, seq receipts.MsgSeq) error {
	g, err := s.group(ctx, group)
	if isNotFound(err) {
		return nil
	} else if err != nil || !inCloud(g) {
		return err
	}
	found, err := s.messagesOf(ctx, group, seq)
	if err != nil || len(found) == 0 || !found[0].Recalled {
		return err
	}
	return s.redact(ctx, g, found[0])
}

func (b *Bridge) trySend(ctx context.Context, o bridgedb.Outgoing) (id.EventID, error) {
	sender, err := b.personByKey(ctx, o.User) // he may have been linked since
	if err != nil {
		return "", err
	}
	if o.Redacts != "" {
		return b.tryRedact(ctx, sender, o)
	}
	// Asked after who he is: if he is somebody new by then, the name that he had is kept by then.
	name, err := b.own.OutgoingName(ctx, o.TxnID)
	if err != nil {
		return "", err
	}
	if name != "" && name != sender.MXID {
		eventID, err := b.sendAs(ctx, name, o)
		if !errors.Is(err, matrix.ErrForbidden) {
			return eventID, err
		} // he is not to be had in that name any more
	}
	return b.sendAs(ctx, sender.MXID, o)
}

func (b *Bridge) sendAs(ctx context.Context, name id.UserID, o bridgedb.Outgoing) (id.EventID, error) {
	if b.hs.IsGhost(name) {
		if err := b.hs.EnsureJoined(ctx, name, o.RoomID); err != nil {
			return "", err
		}
	}
	return b.hs.SendMessage(ctx, name, o.RoomID, json.RawMessage(o.Content), o.TxnID, o.SentAt)
}
