package bridge

import (
	"context"
	"encoding/json"
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

// This file is what became of messages that were carried to Tencent.

// sentPart is what Tencent made of a part.
type sentPart struct {
	seq   receipts.MsgSeq
	msgID string // "" where it is not known yet
	at    time.Time
	wants receipts.Wants
}

// lookBack searches the group's history for a part whose sending had no clear outcome. Its sender may have been linked or unlinked since,
// and have sent it as another account.
func (c *cloud) lookBack(ctx context.Context, g *mapping.Group, u mapping.User, r bridgedb.Relay) (sent sentPart, found bool, err error) {
	then, err := c.b.maps.UsersByKey(ctx, []mapping.UserKey{r.User})
	if err != nil {
		return sent, false, err
	}
	from := receipts.MsgSeq(0)
	for range historyPages {
		page, err := c.client.GroupMsgGetSimple(ctx, g.GroupID, from, tencent.MaxHistory)
		if err != nil {
			return sent, false, err
		}
		for _, m := range page.Messages {
			ours := m.From_Account == u.UserID || m.From_Account == then[r.User].UserID || m.From_Account == r.SentAs
			if ours && uint32(m.MsgRandom) == r.Random && m.IsPlaceMsg != tencent.PlaceGone {
				return sentPart{seq: receipts.MsgSeq(m.MsgSeq), at: m.Time(), wants: wantsBy(m.NeedReadReceipt)}, true, nil
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
		if r.SentAs != "" && r.SentAs != u.UserID { // it stands there under another name than he has now
			named, err := s.tencentUsers(ctx, map[string][]receipts.MsgSeq{r.SentAs: nil})
			if err != nil {
				return err
			} else if by, ok := named[r.SentAs]; ok {
				u = by
			}
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
	m.Seq, m.MsgID, m.Sender, m.At, m.Wants = sent.seq, sent.msgID, u.Key, sent.at, sent.wants
	if last { // who has read this has read it all
		places, err := s.b.maps.Places(ctx, []id.EventID{r.EventID})
		if err != nil {
			return err
		}
		if place := places[r.EventID]; place.RoomID == g.RoomID { // else the group has moved on, and the event is nobody's
			m.EventID, m.RoomID, m.Pos, m.Thread = r.EventID.String(), place.RoomID, place.Pos, place.Thread
		}
	}
	if err := s.putMessage(ctx, g, m, false); err != nil {
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
	now.Part, now.Random, now.Tried, now.SentAs, now.Due, now.Attempts = now.Part+1, 0, false, "", s.now, 0
	return s.b.own.SaveRelay(ctx, now)
}

// putMessage makes a message known, or more of it, and says so to those who wait for it; fresh tells that nothing was known of it before.
// One that stands in the way of another is logged and left.
func (s *session) putMessage(ctx context.Context, g *mapping.Group, m mapping.Message, fresh bool) error {
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
	return s.messagesLearnt(ctx, g, ms, fresh)
}
