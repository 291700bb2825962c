package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/relay"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file is what webhooks, and the catch-up in their stead, tell of messages.

// groupMsgSent takes a message. One that we sent ourselves is known by its Random; any other is shown in the room, if messages are ours
// to carry.
func (s *session) groupMsgSent(ctx context.Context, g *mapping.Group, e *tencent.GroupMsgSent) error {
	users, err := s.tencentUsers(ctx, map[string][]receipts.MsgSeq{e.From_Account: nil})
	if err != nil {
		return err
	}
	u, ok := users[e.From_Account]
	if !ok {
		return nil
	}
	at := e.Time()
	if at.IsZero() || at.After(s.now.Add(time.Minute)) {
		at = s.now
	}
	if bool(e.OnlineOnlyFlag) || len(e.To_Account) > 0 || e.TopicId != "" || e.MsgSeq == 0 {
		return s.unmappedMessage(ctx, g, u, e)
	} else if s.farOff(g, uint64(e.MsgSeq)) {
		return nil
	}
	sent := sentPart{seq: receipts.MsgSeq(e.MsgSeq), msgID: e.MsgId, at: at, wants: wantsBy(e.NeedReadReceipt)}
	if sent.msgID != "" && mapping.ValidateMsgID(sent.msgID) != nil {
		sent.msgID = ""
	}
	// Also of a ghost: he may have been linked when we sent it.
	if r, found, err := s.b.own.RelayByRandom(ctx, g.Key, uint32(e.Random)); err != nil {
		return err
	} else if found {
		if by, err := s.personOf(ctx, r.User); err != nil {
			return err
		} else if by.Key == u.Key || r.SentAs == e.From_Account {
			return s.relayed(ctx, g, u, r, sent)
		}
	}
	return s.newCloudMessage(ctx, g, u, e, sent)
}

func (s *session) newCloudMessage(ctx context.Context, g *mapping.Group, u mapping.User, e *tencent.GroupMsgSent, sent sentPart) error {
	known, anything, err := s.follows(ctx, g, sent.seq)
	if err != nil {
		return err
	}
	m := mapping.Message{Group: g.Key, Random: uint32(e.Random), HasRandom: true}
	m.Seq, m.MsgID, m.Sender, m.At, m.Wants = sent.seq, sent.msgID, u.Key, sent.at, sent.wants
	if err = s.putMessage(ctx, g, m, !anything); err != nil || known {
		return err
	}
	found, err := s.messagesOf(ctx, g.Key, sent.seq)
	if err != nil || len(found) == 0 || found[0].Recalled || found[0].EventID != "" || found[0].Sender != u.Key {
		return err
	}
	return s.toMatrix(ctx, g, u, e, &found[0])
}

// follows tells whether a message is known already, or at least anything of it, and if not sees to it that those before it are.
func (s *session) follows(ctx context.Context, g *mapping.Group, seq receipts.MsgSeq) (known, anything bool, err error) {
	near, err := s.b.maps.MessagesBySeq(ctx, g.Key, receipts.SetOfRanges(receipts.Range{First: max(seq, 2) - 1, Last: seq}), 2)
	if err != nil {
		return false, false, err
	}
	before := seq == 1
	for _, m := range near {
		known, anything = known || m.Seq == seq && m.Sender != 0, anything || m.Seq == seq
		before = before || m.Seq < seq && (m.Sender != 0 || m.Recalled)
	}
	if known || before || !keepsHistory(g) {
		return known, anything, nil
	}
	done, err := s.b.cloud.caughtUp(ctx, g.Key)
	if err == nil && seq > done+1 {
		s.b.cloud.gapSoon(s, g)
	}
	return false, anything, err
}

// wantsBy is what NeedReadReceipt says, where Tencent says it.
func wantsBy(flag *tencent.Flag) receipts.Wants {
	switch {
	case flag == nil:
		return receipts.WantsUnknown
	case bool(*flag):
		return receipts.WantsYes
	}
	return receipts.WantsNo
}

// toMatrix plans that a message is shown in the room. m is nil for one that has no place in the history.
func (s *session) toMatrix(ctx context.Context, g *mapping.Group, u mapping.User, e *tencent.GroupMsgSent, m *mapping.Message) error {
	if !s.b.cfg.Relay.Messages || u.Kind == receipts.KindAccount {
		return nil // the latter wrote it in the room himself, or with his account in another way
	}
	if u.Kind == receipts.KindLinked && !s.b.hs.CanActAs(u.MXID) {
		return nil
	}
	content := relay.ToMatrix(relayMessage(e), tencentResolver{ctx, s, g})
	o := bridgedb.Outgoing{TxnID: unmappedTxnID(g, e), Group: g.Key, User: u.Key, RoomID: g.RoomID, SentAt: s.now, Due: s.now}
	if m != nil {
		content[mapping.StampKey] = mapping.MarshalStamp(mapping.Stamp{GroupID: g.GroupID, MsgID: m.MsgID, Seq: m.Seq, NeedReadReceipt: m.Wants == receipts.WantsYes})
		o.TxnID, o.Seq, o.SentAt = messageTxnID(g.Key, m.Seq, u.Key), m.Seq, m.At
	} else {
		content[unnumberedKey] = true
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("failed to marshal message for Matrix: %w", err)
	}
	o.Content = string(raw)
	s.work = true
	return s.b.own.PutOutgoing(ctx, o)
}

// unnumberedKey stands in the content of what was shown of a message that has no place in the history, and so no stamp: written in the name
// of a linked user it would be taken for his own and sent to Tencent.
const unnumberedKey = "com.tencent.im.unnumbered"

// fromTencent tells whether an event shows a message of Tencent's that has no place in the history.
func fromTencent(ev *matrix.Event) bool {
	if !bytes.Contains(ev.Content, []byte(unnumberedKey)) { // nearly always
		return false
	}
	var content struct {
		Unnumbered bool `json:"com.tencent.im.unnumbered"`
	}
	return json.Unmarshal(ev.Content, &content) == nil && content.Unnumbered
}

// unmappedMessage shows a message that has no place in the history. Nobody can acknowledge it, and should it come twice, only the
// homeserver can tell.
func (s *session) unmappedMessage(ctx context.Context, g *mapping.Group, u mapping.User, e *tencent.GroupMsgSent) error {
	kind := config.UnmappedDirected // not all webhooks of these name those whom they are for
	switch {
	case e.TopicId != "":
		kind = config.UnmappedTopic
	case bool(e.OnlineOnlyFlag) && len(e.To_Account) == 0:
		kind = config.UnmappedOnlineOnly
	}
	if !slices.Contains(s.b.cfg.Relay.Unmapped, kind) {
		return nil
	}
	return s.toMatrix(ctx, g, u, e, nil)
}

// groupMsgRecalled marks messages as recalled and redacts their events.
func (s *session) groupMsgRecalled(ctx context.Context, g *mapping.Group, seqs []receipts.MsgSeq) error {
	recalled := make([]mapping.Message, 0, len(seqs))
	for _, seq := range seqs {
		if s.farOff(g, uint64(seq)) {
			continue
		}
		m := mapping.Message{Group: g.Key}
		m.Seq, m.Recalled = seq, true
		recalled = append(recalled, m)
	}
	changed, err := s.b.maps.PutMessages(ctx, recalled)
	if err != nil || !slices.Contains(changed, true) {
		return err
	}
	for i, m := range recalled {
		if !changed[i] {
			continue
		}
		if err = s.b.own.DropMessage(ctx, g.Key, m.Seq); err != nil { // not sent yet
			return err
		}
		found, err := s.messagesOf(ctx, g.Key, m.Seq)
		if err != nil {
			return err
		} else if len(found) > 0 {
			if err = s.redact(ctx, g, found[0]); err != nil {
				return err
			}
		}
	}
	delete(s.windows, g.Key)
	return s.lookAgain(ctx, g.Key)
}

// redact plans that a message's event is redacted, by its sender where we can act as him, else by the bot.
func (s *session) redact(ctx context.Context, g *mapping.Group, m mapping.Message) error {
	if m.EventID == "" || m.RoomID != g.RoomID || !s.b.cfg.Relay.Messages {
		return nil
	}
	s.work = true
	return s.b.own.PutOutgoing(ctx, bridgedb.Outgoing{
		TxnID: "redact_" + m.EventID, Group: g.Key, User: m.Sender, RoomID: g.RoomID, Redacts: id.EventID(m.EventID), SentAt: s.now, Due: s.now,
	})
}
