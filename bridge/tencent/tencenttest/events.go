package tencenttest

import (
	"slices"
	"strconv"
	"time"
)

// Commands of the webhooks that the fake fires by itself. Any other goes out by Server.Fire.
const (
	AfterReadReceipt      = "Group.CallbackAfterReadReceipt"
	BeforeSendMsg         = "Group.CallbackBeforeSendMsg"
	AfterSendMsg          = "Group.CallbackAfterSendMsg"
	AfterRecallMsg        = "Group.CallbackAfterRecallMsg"
	AfterNewMemberJoin    = "Group.CallbackAfterNewMemberJoin"
	AfterMemberExit       = "Group.CallbackAfterMemberExit"
	AfterGroupDestroyed   = "Group.CallbackAfterGroupDestroyed"
	AfterCreateGroup      = "Group.CallbackAfterCreateGroup"
	AfterGroupInfoChanged = "Group.CallbackAfterGroupInfoChanged"
)

// eventTime is the time in milliseconds, in the form that was asked for.
func (s *Server) eventTime() any {
	ms := s.now().UnixMilli()
	if s.opts.EventTimeString {
		return strconv.FormatInt(ms, 10)
	}
	return ms
}

// emitReceipts says that reader ("" = nobody, the messages were just sent) has read. [CB-RR]
func (s *Server) emitReceipts(g *group, ms []*message, reader, platform string) {
	switch {
	case len(ms) == 0:
	case s.opts.GatherReaders > 0:
		s.gather(g, ms, reader, platform)
	case s.opts.OneSeqPerWebhook:
		for _, m := range ms {
			s.emitReceipt(g, []gathered{{m, readersOf(reader)}}, platform)
		}
	default:
		var list []gathered
		for _, m := range ms {
			list = append(list, gathered{m, readersOf(reader)})
		}
		s.emitReceipt(g, list, platform)
	}
}

// gathered is a message and who has just read it.
type gathered struct {
	m       *message
	readers []string
}

func readersOf(reader string) []string {
	if reader == "" {
		return nil
	}
	return []string{reader}
}

func (s *Server) emitReceipt(g *group, list []gathered, platform string) {
	entries := []reply{}
	for _, item := range list {
		read, unread := s.counts(g, item.m)
		entry := reply{"MsgSeq": item.m.seq, "ReadNum": len(read), "UnreadNum": len(unread)}
		readers := item.readers
		if s.opts.WholeMembers {
			readers = read
		}
		switch {
		case len(readers) > 0:
			entry["ReadReceiptMembers"] = accounts("Member_Account", readers)
		case s.opts.SentMembers == SentMembersEmpty:
			entry["ReadReceiptMembers"] = []reply{}
		case s.opts.SentMembers == SentMembersNull:
			entry["ReadReceiptMembers"] = nil
		}
		entries = append(entries, entry)
	}
	s.emit(AfterReadReceipt, g.id, platform, reply{
		"GroupId": g.id, "Type": g.typ, "GroupMsgReceiptList": entries, "EventTime": s.eventTime(),
	})
}

// gather puts readers together until the time is over.
func (s *Server) gather(g *group, ms []*message, reader, platform string) {
	list, waiting := s.hooks.gathering[g.id]
	for _, m := range ms {
		i := slices.IndexFunc(list, func(have gathered) bool { return have.m == m })
		if i < 0 {
			i = len(list)
			list = append(list, gathered{m: m})
		}
		list[i].readers = append(list[i].readers, readersOf(reader)...)
	}
	s.hooks.gathering[g.id] = list
	if waiting {
		return
	}
	s.after(s.opts.GatherReaders, func() {
		list := s.hooks.gathering[g.id]
		delete(s.hooks.gathering, g.id)
		s.emitReceipt(g, list, platform)
	})
}

// accounts is a list of objects with one field each, as Tencent likes them.
func accounts(field string, users []string) []reply {
	list := []reply{}
	for _, user := range users {
		list = append(list, reply{field: user})
	}
	return list
}

// messageFields are what both callbacks about sending have.
func (s *Server) messageFields(g *group, m *message) reply {
	fields := reply{
		"GroupId": g.id, "Type": g.typ, "From_Account": m.from, "Operator_Account": m.operator, "Random": m.random,
		"OnlineOnlyFlag": number(m.online), "MsgBody": m.body, "CloudCustomData": m.cloud, "EventTime": s.eventTime(),
	}
	if len(m.mentions) > 0 {
		fields["GroupAtInfo"] = m.mentions
	}
	if m.topic != "" {
		fields["TopicId"] = m.topic
	}
	if len(m.to) > 0 && s.opts.DirectedInWebhook {
		fields["To_Account"] = m.to
	}
	return fields
}

// emitSend says that a message was sent. [CB-SEND]
func (s *Server) emitSend(g *group, m *message, platform string) {
	fields := s.messageFields(g, m)
	fields["MsgSeq"], fields["MsgTime"] = m.seq, m.at.Unix()
	if !s.opts.NoMsgID {
		fields["MsgId"] = m.msgID
	}
	if s.opts.FlagInWebhook {
		fields["NeedReadReceipt"] = number(m.needed)
	}
	s.emit(AfterSendMsg, g.id, platform, fields)
}

// emitRecall says that messages were recalled. [CB-RECALL]
func (s *Server) emitRecall(g *group, ms []*message, operator, platform string) {
	if len(ms) == 0 {
		return
	}
	list := []reply{}
	for _, m := range ms {
		list = append(list, reply{"MsgSeq": m.seq})
	}
	s.emit(AfterRecallMsg, g.id, platform, reply{
		"GroupId": g.id, "Type": g.typ, "Operator_Account": operator, "MsgSeqList": list, "EventTime": s.eventTime(),
	})
}

// emitJoin: how is "Apply" or "Invited". [CB-JOIN]
func (s *Server) emitJoin(g *group, users []string, how, operator, platform string) {
	s.emit(AfterNewMemberJoin, g.id, platform, reply{
		"GroupId": g.id, "Type": g.typ, "JoinType": how, "Operator_Account": operator,
		"NewMemberList": accounts("Member_Account", users), "EventTime": s.eventTime(),
	})
}

// emitExit: how is "Kicked" or "Quit". [CB-EXIT]
func (s *Server) emitExit(g *group, users []string, how, operator, platform string) {
	s.emit(AfterMemberExit, g.id, platform, reply{
		"GroupId": g.id, "Type": g.typ, "ExitType": how, "Operator_Account": operator,
		"ExitMemberList": accounts("Member_Account", users), "EventTime": s.eventTime(),
	})
}

func (s *Server) emitDestroyed(g *group, platform string) {
	s.emit(AfterGroupDestroyed, g.id, platform, reply{
		"GroupId": g.id, "Type": g.typ, "Owner_Account": g.owner, "Name": g.name,
		"MemberList": accounts("Member_Account", g.names()), "EventTime": s.eventTime(),
	})
}

func (s *Server) emitCreated(g *group, operator, platform string) {
	s.emit(AfterCreateGroup, g.id, platform, reply{
		"GroupId": g.id, "Operator_Account": operator, "Owner_Account": g.owner, "Type": g.typ, "Name": g.name,
		"MemberList": accounts("Member_Account", g.names()), "UserDefinedDataList": []reply{}, "EventTime": s.eventTime(),
	})
}

func (s *Server) emitInfoChanged(g *group, changed reply, operator, platform string) {
	fields := reply{"GroupId": g.id, "Type": g.typ, "Operator_Account": operator, "EventTime": s.eventTime()}
	for name, value := range changed {
		fields[name] = value
	}
	s.emit(AfterGroupInfoChanged, g.id, platform, fields)
}

// after runs do under the lock in a while, unless the server is closed before. The lock must be held.
func (s *Server) after(d time.Duration, do func()) {
	s.hooks.lastTimer++
	n := s.hooks.lastTimer
	s.hooks.timers[n] = time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hooks.timers, n)
		if !s.closed {
			do()
			s.notify()
		}
	})
}

// stopTimers stops what after has begun. The lock must be held.
func (s *Server) stopTimers() {
	for n, timer := range s.hooks.timers {
		timer.Stop()
		delete(s.hooks.timers, n)
	}
}
