package bridge

import (
	"context"
	"encoding/json"
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

// messagePlaced takes an event that is known as a message already, sent by us or imported, and now has a place.
func (s *session) messagePlaced(ctx context.Context, g *mapping.Group, ev *matrix.Event) error {
	found, err := s.b.maps.MessagesByEvent(ctx, []id.EventID{ev.ID})
	m, ok := found[ev.ID]
	if err != nil || !ok || m.Group != g.Key {
		return err
	}
	if ev.Redacted {
		if m, _, err = s.b.maps.SetRecalled(ctx, ev.ID); err != nil {
			return err
		}
	}
	if err = s.b.own.DropMessage(ctx, g.Key, m.Seq); err != nil {
		return err
	}
	s.work = true // the sender's next one may go
	return s.messagesLearnt(ctx, g, []receipts.Message{m.Message}, false)
}

// messageEvent gives an event its message, as the group's seq source says.
func (s *session) messageEvent(ctx context.Context, g *mapping.Group, ev *matrix.Event, place mapping.Place) error {
	stamp, stamped, err := mapping.ParseStamp(ev.Content)
	if err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("event_id", ev.ID).Msg("Ignoring malformed stamp")
	}
	sender, err := s.senderOf(ctx, ev)
	if err != nil {
		return err
	}
	if stamped && stamp.GroupID == g.GroupID {
		if done, err := s.ownSendBack(ctx, g, ev, place, stamp, sender); done || err != nil {
			return err
		}
	}
	m := mapping.Message{Group: g.Key, RoomID: ev.RoomID}
	m.Pos, m.EventID, m.Thread, m.At, m.Recalled = place.Pos, ev.ID.String(), place.Thread, s.now, ev.Redacted
	m.Sender = sender.Key
	if g.SeqSource == mapping.SeqSourceCloud && s.b.foreignPuppet(sender) {
		m.Sender = 0 // a puppet of the bridge that carries the messages: Tencent says who it is
	}
	fresh := true
	switch g.SeqSource {
	case mapping.SeqSourceOwn:
		if m.Seq, err = s.b.maps.NextSeq(ctx, g.Key); err != nil {
			return err
		}
		m.Wants = receipts.WantsYes
		m.Random, m.HasRandom = mapping.Random(ev.ID), true
		m.MsgID = mapping.MsgID(sender.UserID, eventTime(ev, s.now), m.Random)
	default:
		if !stamped || !(s.b.hs.IsGhost(ev.Sender) || s.b.stampSenders.Match(ev.Sender.String())) {
			return s.toTencent(ctx, g, ev, place.Pos, sender) // its place is kept as a gap: it may be mapped later
		} else if why := refuseStamp(g, stamp); why != "" {
			s.b.stats.refusedStamps.Add(1)
			zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Str("reason", why).Msg("Refusing stamp")
			return nil
		}
		m.Seq, m.MsgID, m.Wants = stamp.Seq, stamp.MsgID, receipts.WantsNo
		if stamp.NeedReadReceipt {
			m.Wants = receipts.WantsYes
		} else if g.SeqSource == mapping.SeqSourceCloud {
			m.Wants = receipts.WantsUnknown // Tencent knows better than a bridge that does not say it
		}
		fresh = stamp.Seq > g.LastSeq
	}
	if _, err = s.b.maps.PutMessages(ctx, []mapping.Message{m}); isConflict(err) {
		s.b.stats.refusedStamps.Add(1)
		zerolog.Ctx(ctx).Warn().Err(err).Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Refusing message that stands in the way of another")
		return nil
	} else if err != nil {
		return err
	}
	g.LastSeq = max(g.LastSeq, m.Seq)
	if err = s.messagesLearnt(ctx, g, []receipts.Message{m.Message}, fresh); err != nil {
		return err
	}
	if g.SeqSource == mapping.SeqSourceCloud {
		return nil // apps hear of it from Tencent
	}
	return s.newMessage(ctx, g, m, sender.UserID, textOf(ev), "")
}

// maxSeqJump bounds how far ahead of the highest known seq a stamp may be: one wrong stamp must not use up the numbers.
const maxSeqJump = 10_000

func refuseStamp(g *mapping.Group, stamp mapping.Stamp) string {
	if stamp.GroupID != g.GroupID {
		return "the stamp names another group"
	}
	return refuseSeq(g, stamp.Seq)
}

func refuseSeq(g *mapping.Group, seq receipts.MsgSeq) string {
	switch {
	case g.LastSeq != 0 && seq > g.LastSeq+maxSeqJump:
		return fmt.Sprintf("the seq is more than %d ahead", maxSeqJump)
	case g.LastSeq == 0 && seq > 1<<53:
		return "the seq is absurd"
	}
	return ""
}

// ownSendBack takes a message that we sent ourselves: its row exists and now gets its place. done is false when the stamp is not
// one that we wrote for this sender (then the event is judged like any other).
func (s *session) ownSendBack(ctx context.Context, g *mapping.Group, ev *matrix.Event, place mapping.Place, stamp mapping.Stamp, sender mapping.User) (done bool, err error) {
	m, ours, err := s.ownSend(ctx, g, ev, stamp, sender)
	if err != nil || !ours {
		return false, err
	} else if m.EventID != "" && m.EventID != ev.ID.String() {
		return true, s.secondEvent(ctx, g, ev, sender)
	}
	if err = s.b.maps.PlaceMessage(ctx, g.Key, m.Seq, ev.RoomID, ev.ID, place.Pos); err != nil {
		return false, err
	}
	if err = s.b.own.DropMessage(ctx, g.Key, m.Seq); err != nil {
		return false, err
	}
	if !ev.Redacted {
		if err = s.recalledMeanwhile(ctx, g.Key, m.Seq); err != nil {
			return false, err
		}
	}
	s.work = true // the sender's next one may go
	m.Pos, m.EventID = place.Pos, ev.ID.String()
	return true, s.messagesLearnt(ctx, g, []receipts.Message{m.Message}, false)
}

// ownSend finds the message of a stamp that we wrote for this sender.
func (s *session) ownSend(ctx context.Context, g *mapping.Group, ev *matrix.Event, stamp mapping.Stamp, sender mapping.User) (m mapping.Message, ours bool, err error) {
	found, err := s.messagesOf(ctx, g.Key, stamp.Seq)
	if err != nil || len(found) == 0 || stamp.MsgID != "" && found[0].MsgID != stamp.MsgID {
		return m, false, err
	}
	m = found[0]
	if m.Sender == sender.Key && sender.Key != 0 {
		return m, true, nil
	}
	// Unless he was unlinked while it was on its way: then it is Tencent's all the same, and must not go back there.
	name, err := s.b.own.OutgoingName(ctx, messageTxnID(g.Key, m.Seq, m.Sender))
	return m, err == nil && name == ev.Sender, err
}

// secondEvent redacts a repeat that the homeserver took for a new message (it forgets transaction ids over a restart): one is enough.
func (s *session) secondEvent(ctx context.Context, g *mapping.Group, ev *matrix.Event, sender mapping.User) error {
	zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Redacting second event of one message")
	s.work = true
	return s.b.own.PutOutgoing(ctx, bridgedb.Outgoing{
		TxnID: "redact_" + ev.ID.String(), Group: g.Key, User: sender.Key, RoomID: ev.RoomID, Redacts: ev.ID, SentAt: s.now, Due: s.now,
	})
}

func (s *session) messagesOf(ctx context.Context, group mapping.GroupKey, seq receipts.MsgSeq) ([]mapping.Message, error) {
	return s.b.maps.MessagesBySeq(ctx, group, receipts.SetOf(seq), 1)
}

func (s *session) senderOf(ctx context.Context, ev *matrix.Event) (mapping.User, error) {
	users, err := s.usersOf(ctx, []id.UserID{ev.Sender})
	if err != nil {
		return mapping.User{}, err
	}
	return users[ev.Sender], nil
}

func eventTime(ev *matrix.Event, now time.Time) time.Time {
	if ev.OriginServerTS.IsZero() || ev.OriginServerTS.After(now) {
		return now
	}
	return ev.OriginServerTS
}

// textOf is what an app shows of a Matrix message: its body. Encrypted messages have none.
func textOf(ev *matrix.Event) string {
	var content struct {
		Body string `json:"body"`
	}
	if json.Unmarshal(ev.Content, &content) != nil {
		return ""
	}
	return content.Body
}

// newMessage tells the group's apps of a message (onRecvNewMessage).
func (s *session) newMessage(ctx context.Context, g *mapping.Group, m mapping.Message, sender, text, customData string) error {
	body, err := json.Marshal(v2tim.NewMessage{
		MsgID: m.MsgID, Seq: uint64(m.Seq), Random: m.Random, GroupID: g.GroupID, Sender: sender, Text: text, CustomData: customData,
		Timestamp: m.At.Unix(), NeedReadReceipt: m.Wants == receipts.WantsYes, OnlineUserOnly: m.OnlineOnly,
	})
	if err != nil {
		return fmt.Errorf("failed to marshal new message: %w", err)
	}
	s.feed = append(s.feed, bridgedb.FeedEntry{Group: g.Key, Seq: m.Seq, At: s.now, Body: string(body)})
	s.wakeGroups[g.Key] = struct{}{}
	return nil
}
