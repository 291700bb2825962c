package receipts

import (
	"cmp"
	"slices"
)

// Member is somebody who is or was in a group, as far as counting goes.
type Member struct {
	User UserKey
	// Name is the Tencent UserID.
	Name string
	// Read is what he has read.
	Read Set
	// Membership is his stays in the group.
	Membership Membership
	// Bot: our own helper; it neither reads nor leaves unread.
	Bot bool
}

func (m *Member) hasRead(msg Message) bool {
	return m.counts(msg) && m.Read.Contains(msg.Seq)
}

func (m *Member) hasNotRead(msg Message) bool {
	return m.counts(msg) && !m.Read.Contains(msg.Seq) && m.Membership.IsMember() && m.Membership.AtSeq(msg.Seq)
}

func (m *Member) counts(msg Message) bool {
	return !m.Bot && (msg.Sender == 0 || m.User != msg.Sender)
}

// Count returns readCount and unreadCount of a message. read is how many others
// than the sender have read it, those who have left since included: it never
// falls. unread is how many were members when it was sent, still are, and have not
// read it. members must be all present and former members, each once.
func Count(m Message, members []Member) (read, unread int) {
	for i := range members {
		switch {
		case members[i].hasRead(m):
			read++
		case members[i].hasNotRead(m):
			unread++
		}
	}
	return read, unread
}

// Filter is which members [MemberPage] lists. The values are Tencent's
// (V2TIM_GROUP_MESSAGE_READ_MEMBERS_FILTER_*,
// https://github.com/TencentCloud/TIMSDK, V2TIMManager+Message.h).
type Filter int

const (
	// FilterRead lists those who have read the message.
	FilterRead Filter = 0
	// FilterUnread lists those who have not.
	FilterUnread Filter = 1
)

// MaxMemberPage is the longest page of [MemberPage]. The SDKs ask for at most 100
// (V2TIMManager+Message.h), the server API for at most 200
// (https://cloud.tencent.com/document/product/269/77693).
const MaxMemberPage = 200

// MemberPage lists who is counted by [Count], by Name, a page at a time in rising
// order of UserKey. next is 0 first and then the nextSeq of the page before; count
// below 1 is taken as 1, above [MaxMemberPage] as that. finished says that there is
// no more; nextSeq is then 0. Nobody is listed twice or left out because others
// join or read between two pages. An unknown filter lists nobody.
func MemberPage(m Message, members []Member, f Filter, next uint64, count int) (page []string, nextSeq uint64, finished bool) {
	count = min(max(count, 1), MaxMemberPage)
	var listed []*Member
	for i := range members {
		who := &members[i]
		if who.User <= 0 || uint64(who.User) <= next {
			continue
		}
		if f == FilterRead && who.hasRead(m) || f == FilterUnread && who.hasNotRead(m) {
			listed = append(listed, who)
		}
	}
	slices.SortFunc(listed, func(a, b *Member) int { return cmp.Compare(a.User, b.User) })
	finished = len(listed) <= count
	listed = listed[:min(len(listed), count)]
	page = make([]string, len(listed))
	for i, who := range listed {
		page[i] = who.Name
	}
	if !finished {
		nextSeq = uint64(listed[len(listed)-1].User)
	}
	return page, nextSeq, finished
}
