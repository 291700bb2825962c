package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/relay"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// toTencent plans that a message in the room is sent to the group, if messages are ours to carry and it is a Matrix user's.
func (s *session) toTencent(ctx context.Context, g *mapping.Group, ev *matrix.Event, pos receipts.Pos, sender mapping.User) error {
	if s.b.cloud == nil || !s.b.cfg.Relay.Messages || !inCloud(g) || !s.writes(sender) || ev.Redacted || fromTencent(ev) {
		return nil
	}
	if err := s.wantJoin(ctx, g, sender); err != nil {
		return err
	}
	return s.plannedRelay(ctx, g, ev, pos, sender.Key, bridgedb.RelaySend, "")
}

// writes tells whether what a user writes in the room is his own, and not something that came from elsewhere.
func (s *session) writes(u mapping.User) bool {
	return u.Key != 0 && u.Kind != receipts.KindGhost && !s.b.foreignPuppet(u)
}

func (s *session) plannedRelay(ctx context.Context, g *mapping.Group, ev *matrix.Event, pos receipts.Pos, user mapping.UserKey, kind bridgedb.RelayKind, target id.EventID) error {
	s.work = true
	return s.b.own.PutRelay(ctx, bridgedb.Relay{
		EventID: ev.ID, Group: g.Key, User: user, Pos: pos, Kind: kind, Target: target, Type: ev.Type, Content: string(ev.Content), At: eventTime(ev, s.now), Due: s.now,
	})
}

// editAtTencent plans that the message that ev edits is edited there too. Only its sender can.
func (s *session) editAtTencent(ctx context.Context, g *mapping.Group, ev *matrix.Event, pos receipts.Pos) error {
	if s.b.cloud == nil || !s.b.cfg.Relay.Messages || !inCloud(g) || ev.Redacted {
		return nil
	}
	sender, err := s.senderOf(ctx, ev)
	if err != nil || !s.writes(sender) {
		return err
	}
	return s.plannedRelay(ctx, g, ev, pos, sender.Key, bridgedb.RelayEdit, ev.RelatesTo)
}

// recallAtTencent plans that a message that was redacted in the room is recalled there too. What is still waiting need not be sent.
func (s *session) recallAtTencent(ctx context.Context, g *mapping.Group, ev *matrix.Event, pos receipts.Pos) error {
	if s.b.cloud == nil || !s.b.cfg.Relay.Messages || !inCloud(g) {
		return nil
	}
	waiting, ok, err := s.b.own.RelayOf(ctx, ev.Redacts)
	if err != nil {
		return err
	}
	sender := waiting.User
	if ok && !waiting.Tried && waiting.Part == 0 {
		return s.b.own.DropRelay(ctx, ev.Redacts)
	} else if !ok {
		found, err := s.b.maps.MessagesByEvent(ctx, []id.EventID{ev.Redacts})
		m, known := found[ev.Redacts]
		if err != nil || !known {
			return err
		}
		sender = m.Sender
	}
	return s.plannedRelay(ctx, g, ev, pos, sender, bridgedb.RelayRecall, ev.Redacts)
}

// partsOf lists the messages that an event became, rising: the event itself is the last of them.
func (c *cloud) partsOf(ctx context.Context, g *mapping.Group, event id.EventID) ([]mapping.Message, error) {
	found, err := c.b.maps.MessagesByEvent(ctx, []id.EventID{event})
	last, ok := found[event]
	if err != nil || !ok || last.Group != g.Key {
		return nil, err
	}
	// Others may have written between the parts.
	const reach = 100
	first := receipts.MsgSeq(1)
	if last.Seq > reach {
		first = last.Seq - reach
	}
	near, err := c.b.maps.MessagesBySeq(ctx, g.Key, receipts.SetOfRanges(receipts.Range{First: first, Last: last.Seq}), reach+1)
	if err != nil {
		return nil, err
	}
	randoms := make([]uint32, relay.MaxParts)
	for part := range randoms {
		randoms[part] = relayRandom(event, part)
	}
	return slices.DeleteFunc(near, func(m mapping.Message) bool {
		return m.Seq != last.Seq && !(m.Sender == last.Sender && m.EventID == "" && m.HasRandom && slices.Contains(randoms, m.Random))
	}), nil
}

func (c *cloud) carryRecall(ctx context.Context, g *mapping.Group, r bridgedb.Relay) error {
	parts, err := c.partsOf(ctx, g, r.Target)
	if err != nil {
		return err
	}
	seqs := make([]receipts.MsgSeq, len(parts))
	for i, m := range parts {
		seqs[i] = m.Seq
	}
	for page := range slices.Chunk(seqs, tencent.MaxRecallSeqs) {
		results, err := c.client.GroupMsgRecall(ctx, g.GroupID, page, "")
		if errors.Is(err, tencent.ErrMessage) {
			continue // gone, or recalled already
		} else if err != nil {
			return c.refusedChange("A message was not recalled in the Tencent group", err)
		}
		for _, result := range results {
			if code := receipts.Code(result.RetCode); code != receipts.CodeOK && !errors.Is(tencent.Classify(code), tencent.ErrMessage) {
				return fmt.Errorf("failed to recall message %d: Tencent answered %s", result.MsgSeq, code)
			}
		}
	}
	return nil
}

func (c *cloud) carryEdit(ctx context.Context, g *mapping.Group, u mapping.User, r bridgedb.Relay) error {
	// Asked before the message is looked for: it may get there in between.
	_, waits, err := c.b.own.RelayOf(ctx, r.Target)
	if err != nil {
		return err
	}
	parts, err := c.partsOf(ctx, g, r.Target)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		// Under another name than the message's, before he was linked or after, the edit does not wait for it by itself.
		if !waits {
			return nil // it never got there
		}
		return &tencent.TemporaryError{Err: errors.New("the message itself is still on its way")}
	}
	if parts[len(parts)-1].Sender != u.Key {
		// Clients do not show it either, unless he has only been linked or unlinked since.
		if same, err := c.sameSender(ctx, g, r.EventID, r.Target); err != nil || !same {
			return err
		}
	}
	// The edits of one name go in order by themselves.
	if earlier, err := c.b.own.HasEarlierEdit(ctx, r.Target, r.Pos); err != nil {
		return err
	} else if earlier {
		return &tencent.TemporaryError{Err: errors.New("an earlier edit is still on its way")}
	}
	if len(parts) > 1 {
		return &givenUp{"A change was not carried to the Tencent group: the message is too long for that."}
	}
	_, part, err := relay.EditToTencent(json.RawMessage(r.Content), c.matrixResolver(ctx, g, u))
	if errors.Is(err, relay.ErrNothing) || errors.Is(err, relay.ErrTooLong) {
		return &givenUp{"A change was not carried to the Tencent group: it is too long, or of a kind that apps cannot show."}
	} else if err != nil {
		return err
	}
	body := make([]tencent.MsgElem, len(part.Body))
	for i, e := range part.Body {
		body[i] = tencent.MsgElem(e)
	}
	if err = c.client.ModifyGroupMsg(ctx, g.GroupID, parts[0].Seq, body, nil); err != nil {
		return c.refusedChange("A change was not carried to the Tencent group", err)
	}
	return nil
}

// sameSender tells whether two events are of the same Matrix user, under whatever names he stands in the group, or will once he is linked or
// unlinked.
func (c *cloud) sameSender(ctx context.Context, g *mapping.Group, a, b id.EventID) (bool, error) {
	var senders [2]id.UserID
	for i, event := range [2]id.EventID{a, b} {
		around, err := c.b.hs.Surroundings(ctx, g.RoomID, event)
		if errors.Is(err, matrix.ErrNotFound) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		senders[i] = around.Event.Sender
	}
	return senders[0] == senders[1], nil
}

func (c *cloud) refusedChange(what string, err error) error {
	temporary := (*tencent.TemporaryError)(nil)
	var refused *tencent.APIError
	if errors.As(err, &temporary) || !errors.As(err, &refused) {
		return err
	}
	return &givenUp{fmt.Sprintf("%s: %s.", what, refused.Code)}
}
