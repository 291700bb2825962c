package bridge

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/bridgedb"
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
	take := func(ctx context.Context, s *session) error {
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
	}
	if read, ok := event.(*tencent.ReadReceipt); ok {
		return c.b.commits.doAsking(ctx, ask{webhook: read}, take)
	}
	return c.b.commits.do(ctx, take)
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
	s.groups[g.Key] = &g
	return &g, nil
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

// farOff tells that a webhook names a message that cannot be, or so far ahead of all that are known that Tencent's own record has to say
// so first: one wrong number must not use up all below it.
func (s *session) farOff(g *mapping.Group, seq uint64) bool {
	if seq > maxCloudSeq {
		return true
	}
	far := receipts.MsgSeq(seq) > g.LastSeq+maxSeqJump
	if far {
		s.b.cloud.catchUpSoon(s, g, gapWait)
	}
	return far
}

// readReceipt merges who has read which messages. That they are named at all says that they want a receipt.
func (s *session) readReceipt(ctx context.Context, g *mapping.Group, e *tencent.ReadReceipt) error {
	wanting := make([]mapping.Message, 0, len(e.GroupMsgReceiptList))
	read := make(map[string][]receipts.MsgSeq)
	for _, m := range e.GroupMsgReceiptList {
		if s.farOff(g, uint64(m.MsgSeq)) {
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
	// Nearly all receipts are of messages of which it is known: to put those once more would cost more than all the rest.
	seqs := make([]receipts.MsgSeq, len(wanting))
	for i, m := range wanting {
		seqs[i] = m.Seq
	}
	found, err := s.messagesBySeq(ctx, g.Key, receipts.SetOf(seqs...))
	if err != nil {
		return err
	}
	var known []receipts.MsgSeq
	for _, m := range found {
		if m.Wants == receipts.WantsYes {
			known = append(known, m.Seq)
		}
	}
	yes := receipts.SetOf(known...)
	wanting = slices.DeleteFunc(wanting, func(m mapping.Message) bool { return yes.Contains(m.Seq) })
	if len(wanting) == 0 {
		return nil
	}
	changed, err := s.b.maps.PutMessages(ctx, wanting)
	if err != nil {
		return err
	}
	for _, m := range wanting {
		s.ahead.forgetMessage(g.Key, m.Seq)
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
		if row.Damage != nil {
			continue // Tencent has it still
		}
		if row.Tencent.ContainsAll(seqs) {
			continue
		}
		if u.UserID == account {
			news[u.Key] = news[u.Key].Union(row.AddTencent(seqs))
		} else { // the account that he had before he was linked: of his own Tencent knows nothing
			news[u.Key] = news[u.Key].Union(row.Add(seqs))
		}
		s.save(row)
		all = all.Union(news[u.Key])
		if !s.memberships[reader{g.Key, u.Key}].IsMember() {
			s.b.cloud.catchUpSoon(s, g, gapWait) // his joining was missed
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
	find := s.b.maps.UsersByID
	if s.ahead != nil {
		find = s.ahead.usersByID
	}
	users, err := find(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		u, ok := users[name]
		switch {
		case !ok && accountForm(name):
			continue // the account of a Matrix user whom we do not know (any more), see tencentMembersJoined
		case !ok:
			u, err = s.tencentUser(ctx, name)
			s.ahead.forgetUser(name)
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
