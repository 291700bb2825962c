package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/relay"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// HandleEvent implements tencent.Intake: what a webhook tells is merged and committed. Webhooks come in any order, twice or not at
// all, so that each is taken for what it says alone. What can never be stored is logged and counts as taken.
func (c *cloud) HandleEvent(ctx context.Context, event tencent.Event) error {
	switch e := event.(type) {
	case *tencent.GroupDestroyed:
		c.b.background("destroyed "+e.GroupId, func(ctx context.Context) error { return c.destroyed(ctx, e.GroupId) })
		return nil
	case *tencent.GroupCreated:
		c.createRoom(e.GroupId)
		return nil
	}
	return c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		g, err := s.groupByID(ctx, event.Group())
		if err != nil || !inCloud(g) {
			return err
		}
		if err = s.noteWebhook(ctx); err != nil {
			return err
		}
		err = s.cloudEvent(ctx, g, event)
		if refusedForGood(err) {
			zerolog.Ctx(ctx).Error().Err(err).Str("group_id", g.GroupID).Msg("Ignoring webhook that cannot be taken")
			return nil
		}
		return err
	})
}

// noteWebhook keeps for `timbridge check` that webhooks come.
func (s *session) noteWebhook(ctx context.Context) error {
	c := s.b.cloud
	if s.now.Sub(c.noted) < time.Minute {
		return nil
	}
	now := s.now
	s.after = append(s.after, func() { c.noted = now })
	return s.b.own.SetValue(ctx, bridgedb.KeyWebhook, strconv.FormatInt(now.UnixMilli(), 10))
}

// groupByID finds a group by Tencent's name of it; nil if it is not known.
func (s *session) groupByID(ctx context.Context, groupID string) (*mapping.Group, error) {
	for _, g := range s.groups {
		if g.GroupID == groupID {
			return g, nil
		}
	}
	g, err := s.b.maps.GroupByID(ctx, groupID)
	if isNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return s.group(ctx, g.Key)
}

func (s *session) cloudEvent(ctx context.Context, g *mapping.Group, event tencent.Event) error {
	switch e := event.(type) {
	case *tencent.ReadReceipt:
		return s.readReceipt(ctx, g, e)
	case *tencent.GroupMsgSent:
		return s.groupMsgSent(ctx, g, e)
	case *tencent.GroupMsgRecalled:
		if e.TopicId != "" {
			return nil
		}
		return s.groupMsgRecalled(ctx, g, e.Seqs())
	case *tencent.MembersJoined:
		return s.tencentMembersJoined(ctx, g, e.NewMemberList)
	case *tencent.MembersLeft:
		if e.Operator_Account == s.b.cfg.Tencent.Admin() && e.ExitType == "Kicked" {
			return s.tencentMembersLeft(ctx, g, e.ExitMemberList, false) // our own doing, perhaps undone since
		}
		return s.tencentMembersLeft(ctx, g, e.ExitMemberList, true)
	case *tencent.GroupInfoChanged:
		return s.groupInfoChanged(ctx, g, e)
	}
	return nil
}

// maxCloudSeq bounds the seqs that Tencent is believed: what is above is a mistake.
const maxCloudSeq = 1 << 53

// readReceipt merges who has read which messages. That they are named at all says that they want a receipt.
func (s *session) readReceipt(ctx context.Context, g *mapping.Group, e *tencent.ReadReceipt) error {
	wanting := make([]mapping.Message, 0, len(e.GroupMsgReceiptList))
	read := make(map[string][]receipts.MsgSeq)
	for _, m := range e.GroupMsgReceiptList {
		if m.MsgSeq > maxCloudSeq {
			continue
		}
		msg := mapping.Message{Group: g.Key}
		msg.Seq, msg.Wants = receipts.MsgSeq(m.MsgSeq), receipts.WantsYes
		wanting = append(wanting, msg)
		for _, account := range m.ReadReceiptMembers {
			read[account] = append(read[account], msg.Seq)
		}
	}
	if err := s.learnWanting(ctx, g, wanting); err != nil {
		return err
	}
	return s.tencentRead(ctx, g, read)
}

// learnWanting makes it known that messages want a receipt, those of which nothing else is known yet too.
func (s *session) learnWanting(ctx context.Context, g *mapping.Group, wanting []mapping.Message) error {
	changed, err := s.b.maps.PutMessages(ctx, wanting)
	if err != nil {
		return err
	}
	var news []receipts.MsgSeq
	for i, m := range wanting {
		g.LastSeq = max(g.LastSeq, m.Seq)
		if changed[i] {
			news = append(news, m.Seq)
		}
	}
	if len(news) == 0 {
		return nil
	}
	ms, err := s.messagesBySeq(ctx, g.Key, receipts.SetOf(news...))
	if err != nil {
		return err
	}
	return s.messagesLearnt(ctx, g, ms, false)
}

// tencentRead merges what accounts have read, by Tencent's word.
func (s *session) tencentRead(ctx context.Context, g *mapping.Group, read map[string][]receipts.MsgSeq) error {
	if len(read) == 0 {
		return nil
	}
	users, err := s.tencentUsers(ctx, read)
	if err != nil {
		return err
	}
	keys := make([]mapping.UserKey, 0, len(users))
	for _, u := range users {
		keys = append(keys, u.Key)
	}
	if err = s.loadReaders(ctx, g.Key, keys); err != nil {
		return err
	}
	var all receipts.Set
	news := make(map[mapping.UserKey]receipts.Set)
	for account, u := range users {
		row := s.rows[reader{g.Key, u.Key}]
		seqs := receipts.SetOf(read[account]...)
		if row.Tencent.ContainsAll(seqs) {
			continue
		}
		news[u.Key] = news[u.Key].Union(row.AddTencent(seqs))
		s.save(row)
		all = all.Union(news[u.Key])
		if !s.memberships[reader{g.Key, u.Key}].IsMember() {
			s.b.cloud.catchUpSoon(s, g) // his joining was missed
		}
	}
	if all.IsEmpty() {
		return nil
	}
	ms, err := s.messagesBySeq(ctx, g.Key, all)
	if err != nil {
		return err
	}
	// Apps may acknowledge a screen of messages one by one, and Tencent may tell of each in a webhook of its own.
	s.patience = s.b.cfg.Matrix.Coalesce / 2
	defer func() { s.patience = 0 }()
	for key, seqs := range news {
		if err = s.readMore(ctx, s.rows[reader{g.Key, key}], s.users[key].Kind, seqs, ms); err != nil {
			return err
		}
	}
	return nil
}

// tencentUsers finds or makes the users behind UserIDs. What is no UserID that we can keep is left out.
func (s *session) tencentUsers(ctx context.Context, accounts map[string][]receipts.MsgSeq) (map[string]mapping.User, error) {
	names := make([]string, 0, len(accounts))
	for account := range accounts {
		if err := mapping.ValidateUserID(account); err != nil {
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Ignoring Tencent user whose UserID cannot be kept")
			continue
		}
		names = append(names, account)
	}
	slices.Sort(names)
	users, err := s.b.maps.UsersByID(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		u, ok := users[name]
		switch {
		case !ok:
			u, err = s.tencentUser(ctx, name)
		case u.AliasOf != 0:
			u, err = s.personOf(ctx, u.Key)
		}
		if err != nil {
			return nil, err
		}
		users[name] = u
		s.users[u.Key] = u
	}
	return users, nil
}

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
	if bool(e.OnlineOnlyFlag) || len(e.To_Account) > 0 || e.TopicId != "" || e.MsgSeq == 0 || e.MsgSeq > maxCloudSeq {
		return s.unmappedMessage(ctx, g, u, e)
	}
	sent := sentPart{seq: receipts.MsgSeq(e.MsgSeq), msgID: e.MsgId, at: at}
	if sent.msgID != "" && mapping.ValidateMsgID(sent.msgID) != nil {
		sent.msgID = ""
	}
	if u.Kind != receipts.KindGhost {
		if r, found, err := s.b.own.RelayByRandom(ctx, g.Key, u.Key, uint32(e.Random)); err != nil {
			return err
		} else if found {
			return s.relayed(ctx, g, u, r, sent)
		}
	}
	return s.newCloudMessage(ctx, g, u, e, sent)
}

func (s *session) newCloudMessage(ctx context.Context, g *mapping.Group, u mapping.User, e *tencent.GroupMsgSent, sent sentPart) error {
	before, err := s.messagesOf(ctx, g.Key, sent.seq)
	if err != nil {
		return err
	}
	known := len(before) > 0 && before[0].Sender != 0
	if sent.seq > g.LastSeq+1 && !known {
		s.b.cloud.catchUpSoon(s, g) // those between may only be late
	}
	m := mapping.Message{Group: g.Key, Random: uint32(e.Random), HasRandom: true}
	m.Seq, m.MsgID, m.Sender, m.At = sent.seq, sent.msgID, u.Key, sent.at
	if e.NeedReadReceipt != nil {
		m.Wants = receipts.WantsNo
		if *e.NeedReadReceipt {
			m.Wants = receipts.WantsYes
		}
	}
	if err = s.putMessage(ctx, g, m); err != nil || known {
		return err
	}
	found, err := s.messagesOf(ctx, g.Key, sent.seq)
	if err != nil || len(found) == 0 || found[0].Recalled || found[0].EventID != "" || found[0].Sender != u.Key {
		return err
	}
	return s.toMatrix(ctx, g, u, e, &found[0])
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
	}
	raw, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("failed to marshal message for Matrix: %w", err)
	}
	o.Content = string(raw)
	s.work = true
	return s.b.own.PutOutgoing(ctx, o)
}

// unmappedMessage shows a message that has no place in the history. Nobody can acknowledge it, and should it come twice, only the
// homeserver can tell.
func (s *session) unmappedMessage(ctx context.Context, g *mapping.Group, u mapping.User, e *tencent.GroupMsgSent) error {
	kind := config.UnmappedOnlineOnly
	switch {
	case len(e.To_Account) > 0:
		kind = config.UnmappedDirected
	case e.TopicId != "":
		kind = config.UnmappedTopic
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
		if seq > maxCloudSeq {
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
