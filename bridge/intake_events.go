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

// roomEvents takes events of one room in the order of the homeserver. Events that have been taken before change nothing.
func (s *session) roomEvents(ctx context.Context, events []matrix.Event) error {
	room := events[0].RoomID
	g, err := s.groupOfRoom(ctx, room)
	if err != nil {
		return err
	} else if g == nil {
		return s.unmappedRoom(ctx, events)
	}
	known, err := s.b.maps.Places(ctx, eventIDs(events))
	if err != nil {
		return err
	}
	threads := make(map[id.EventID]string)
	list := make([]mapping.NewEvent, len(events))
	for i, ev := range events {
		thread, err := s.threadOf(ctx, &ev, threads, known)
		if err != nil {
			return err
		}
		threads[ev.ID] = thread
		list[i] = mapping.NewEvent{EventID: ev.ID, Thread: thread, At: s.now, Gap: g.SeqSource != mapping.SeqSourceOwn && !ev.IsState() && mapping.Countable(ev.Type, ev.Content)}
	}
	places, err := s.b.maps.Append(ctx, room, list)
	if err != nil {
		return err
	}
	redacted, err := s.redactedEarly(ctx, room, events)
	if err != nil {
		return err
	}
	var fresh []id.EventID
	for i, place := range places {
		ev := events[i]
		ev.Redacted = ev.Redacted || redacted[ev.ID]
		if place.RoomID != room {
			zerolog.Ctx(ctx).Warn().Stringer("event_id", ev.ID).Stringer("room_id", room).Msg("Ignoring event whose ID is known from another room")
			continue
		} else if place.Known {
			continue
		}
		fresh = append(fresh, ev.ID)
		if before := known[ev.ID]; before.Known && before.Pos == 0 {
			err = s.messagePlaced(ctx, g, &ev) // a message without a place until now
		} else {
			err = s.roomEvent(ctx, g, &ev, place)
		}
		if refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Ignoring event that cannot be taken")
		} else if err != nil {
			return fmt.Errorf("failed to take event %s: %w", ev.ID, err)
		}
		if s.groups[g.Key] != g {
			break // the group has moved on: what follows belongs to nobody
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return s.parkedFor(ctx, fresh)
}

// threadOf finds the thread that an event belongs to: its own, or that of the message it reacts to or edits.
func (s *session) threadOf(ctx context.Context, ev *matrix.Event, batch map[id.EventID]string, known map[id.EventID]mapping.Place) (string, error) {
	if ev.ThreadRoot != "" || ev.RelatesTo == "" {
		return ev.ThreadRoot, nil
	}
	if thread, ok := batch[ev.RelatesTo]; ok {
		return thread, nil
	}
	if place, ok := known[ev.ID]; ok {
		return place.Thread, nil
	}
	target, err := s.b.maps.Places(ctx, []id.EventID{ev.RelatesTo})
	if err != nil {
		return "", err
	}
	return target[ev.RelatesTo].Thread, nil
}

func eventIDs(events []matrix.Event) []id.EventID {
	ids := make([]id.EventID, len(events))
	for i, ev := range events {
		ids[i] = ev.ID
	}
	return ids
}

// unmappedRoom is for rooms that are no group's: the bot accepts invitations, and its own probe is noted. Nothing else is kept.
func (s *session) unmappedRoom(ctx context.Context, events []matrix.Event) error {
	for _, ev := range events {
		switch {
		case ev.Type == probeEventType && ev.Sender == s.b.bot():
			if err := s.b.own.SetValue(ctx, bridgedb.KeyProbeEvent, ev.ID.String()); err != nil {
				return err
			}
		case ev.Type == "m.room.member" && ev.StateKey != nil && *ev.StateKey == s.b.bot().String() && membershipOf(&ev) == "invite":
			room := ev.RoomID
			s.after = append(s.after, func() { s.b.acceptInvite(room) })
		}
	}
	return nil
}

func membershipOf(ev *matrix.Event) string {
	var content struct {
		Membership string `json:"membership"`
	}
	if json.Unmarshal(ev.Content, &content) != nil {
		return ""
	}
	return content.Membership
}

// roomEvent takes one event of a group's room, at its place.
func (s *session) roomEvent(ctx context.Context, g *mapping.Group, ev *matrix.Event, place mapping.Place) error {
	if ev.IsState() {
		s.b.hs.UpdateState(ctx, *ev)
	}
	switch {
	case ev.Type == "m.room.member" && ev.StateKey != nil:
		return s.memberEvent(ctx, g, ev, place.Pos)
	case ev.Type == "m.room.tombstone" && ev.StateKey != nil && *ev.StateKey == "":
		return s.tombstone(ctx, g, ev)
	case ev.Type == redactionType && ev.StateKey == nil && ev.Redacts != "":
		return s.redaction(ctx, g, ev)
	case !ev.IsState() && mapping.Countable(ev.Type, ev.Content):
		return s.messageEvent(ctx, g, ev, place)
	}
	return nil
}

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
			return nil // its place is kept as a gap: it may be mapped later
		} else if why := refuseStamp(g, stamp); why != "" {
			s.b.stats.refusedStamps.Add(1)
			zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Str("reason", why).Msg("Refusing stamp")
			return nil
		}
		m.Seq, m.MsgID, m.Wants = stamp.Seq, stamp.MsgID, receipts.WantsNo
		if stamp.NeedReadReceipt {
			m.Wants = receipts.WantsYes
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
	found, err := s.messagesOf(ctx, g.Key, stamp.Seq)
	if err != nil {
		return false, err
	} else if len(found) == 0 || found[0].MsgID != stamp.MsgID || found[0].Sender != sender.Key {
		return false, nil
	}
	m := found[0]
	if m.EventID != "" && m.EventID != ev.ID.String() {
		// A repeat that the homeserver took for a new message (it forgets transaction ids over a restart): one is enough.
		zerolog.Ctx(ctx).Warn().Str("group_id", g.GroupID).Stringer("event_id", ev.ID).Msg("Redacting second event of one message")
		s.work = true
		return true, s.b.own.PutOutgoing(ctx, bridgedb.Outgoing{
			TxnID: "redact_" + ev.ID.String(), Group: g.Key, User: sender.Key, RoomID: ev.RoomID, Redacts: ev.ID, SentAt: s.now, Due: s.now,
		})
	}
	if err = s.b.maps.PlaceMessage(ctx, g.Key, m.Seq, ev.RoomID, ev.ID, place.Pos); err != nil {
		return false, err
	}
	if err = s.b.own.DropMessage(ctx, g.Key, m.Seq); err != nil {
		return false, err
	}
	s.work = true // the sender's next one may go
	m.Pos, m.EventID = place.Pos, ev.ID.String()
	return true, s.messagesLearnt(ctx, g, []receipts.Message{m.Message}, false)
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

// redactedEarly finds those of the events whose redaction has come before them, or comes with them: Dendrite 0.15.2 hands events over
// in another order after a restart.
func (s *session) redactedEarly(ctx context.Context, room id.RoomID, events []matrix.Event) (map[id.EventID]bool, error) {
	list, err := s.b.own.EarlyRedactions(ctx, room, eventIDs(events))
	if err != nil {
		return nil, err
	}
	redacted := make(map[id.EventID]bool)
	for _, ev := range list {
		redacted[ev] = true
	}
	for _, ev := range events {
		if ev.Type == redactionType && ev.StateKey == nil && ev.Redacts != "" {
			redacted[ev.Redacts] = true
		}
	}
	return redacted, nil
}

const redactionType = "m.room.redaction"

// redaction marks a message as recalled: it asks for no receipt any more.
func (s *session) redaction(ctx context.Context, g *mapping.Group, ev *matrix.Event) error {
	places, err := s.b.maps.Places(ctx, []id.EventID{ev.Redacts})
	if err != nil {
		return err
	}
	target, ok := places[ev.Redacts]
	if !ok {
		return s.b.own.PutEarlyRedaction(ctx, ev.RoomID, ev.Redacts, s.now)
	} else if target.RoomID != ev.RoomID {
		return nil // the homeserver would not have applied it
	}
	_, changed, err := s.b.maps.SetRecalled(ctx, ev.Redacts)
	if isNotFound(err) {
		return nil // a reaction, say
	} else if err != nil || !changed {
		return err
	}
	delete(s.windows, g.Key)
	return s.lookAgain(ctx, g.Key)
}

// lookAgain asks for a look at every reader's marker: something that held a frontier back may be gone.
func (s *session) lookAgain(ctx context.Context, group mapping.GroupKey) error {
	rows, err := s.b.reads.AllReaders(ctx, group)
	if err != nil {
		return err
	}
	keys := make([]mapping.UserKey, len(rows))
	for i, row := range rows {
		keys[i] = row.User
	}
	if err = s.loadUsers(ctx, keys); err != nil {
		return err
	}
	if err = s.loadReaders(ctx, group, keys); err != nil {
		return err
	}
	for _, key := range keys {
		if s.users[key].Kind != receipts.KindAccount {
			s.due(s.rows[reader{group, key}])
		}
	}
	return nil
}
