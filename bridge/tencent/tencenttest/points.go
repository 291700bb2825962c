package tencenttest

import (
	"iter"
	"time"
)

// BadAck is what one bad message does to a group_msg_receipt of several, which has no result per
// message: section 2.4 and point 1.
type BadAck int

const (
	// BadAckRefusesAll: the code of the first bad message, and nothing is acknowledged.
	BadAckRefusesAll BadAck = iota
	// BadAckRefusesOne: the code of the first bad message, and the good ones are acknowledged.
	BadAckRefusesOne
	// BadAckIgnored: 0, and the good ones are acknowledged.
	BadAckIgnored
)

// SentMembers is the ReadReceiptMembers of the receipt webhook that says that a message was sent.
type SentMembers int

const (
	// SentMembersEmpty: an empty list.
	SentMembersEmpty SentMembers = iota
	// SentMembersAbsent: no such field.
	SentMembersAbsent
	// SentMembersNull: the field is null.
	SentMembersNull
)

// Points are what Tencent's documentation leaves open. Numbers are those of contract section 9; the
// zero value is the likelier reading of each.
type Points struct {
	// BadAck is what one bad message does to an acknowledgement (1, for the server API: unknown message
	// 10052, no receipt 10062, online-only 10061).
	BadAck BadAck
	// ClientAckMax is how many messages User.Ack takes at most (2); 0 is no limit.
	ClientAckMax int
	// NonMemberAcks: an acknowledgement of somebody who is no member is answered 0 and changes nothing,
	// instead of 10007 (3).
	NonMemberAcks bool
	// EchoAcks: acknowledgements by the server API fire the receipt webhook too (4).
	EchoAcks bool
	// NoAckCommand: the server API has no group_msg_receipt, 10003 (5).
	NoAckCommand bool
	// QueryMax is how many messages get_group_msg_receipt takes (6); 0 is no limit.
	QueryMax int
	// WholeMembers: ReadReceiptMembers names all who have read, instead of those who just did (7).
	WholeMembers bool
	// SentMembers is the list when a message was sent (7).
	SentMembers SentMembers
	// GatherReaders: receipts of a group within this time go out as one webhook, so that one entry can
	// hold several readers (7); 0: one webhook for each acknowledgement.
	GatherReaders time.Duration
	// OneSeqPerWebhook: an acknowledgement of several messages is a webhook for each (7).
	OneSeqPerWebhook bool
	// EventTimeString: EventTime is a quoted string (8).
	EventTimeString bool
	// WebhookRetries is how often a webhook that was not answered is sent again (9). Only if the
	// console's switch is on; 0 is off.
	WebhookRetries int
	// RepeatFires: acknowledging again fires the webhook again (10).
	RepeatFires bool
	// OwnAckCounts: the sender's own acknowledgement counts (11); else it is answered 0 and ignored.
	OwnAckCounts bool
	// ReceiptsKept is after what time receipts are gone, 10062 (12); 0 is never.
	ReceiptsKept time.Duration
	// FlagInWebhook and FlagInHistory: NeedReadReceipt is in AfterSendMsg, in group_msg_get_simple (13).
	FlagInWebhook, FlagInHistory bool
	// IsFinished: get_group_msg_receipt_detail says IsFinished instead of IsFinish (14).
	IsFinished bool
	// LargeKeepsReceipts: messages that have receipts keep them when the group passes 200 members (15);
	// else 10060.
	LargeKeepsReceipts bool
	// UnreadFollows: UnreadNum counts the members of now instead of those at the time of sending (15).
	UnreadFollows bool
	// WebhooksPerSecond is the most that are sent (16); 0 is as fast as they are answered.
	WebhooksPerSecond int
	// WebhookWorkers is how many webhooks are under way at once, so that they overtake each other (17);
	// 8 if zero. With 1 they come in order.
	WebhookWorkers int
	// RecallDropsReceipts and ModifyDropsReceipts: a message that is recalled, or changed, has no
	// receipts any more, 10062 (18).
	RecallDropsReceipts, ModifyDropsReceipts bool

	// The rest is open as well, though not in the list.

	// NoMsgID: AfterSendMsg has no MsgId, as in older copies of its page.
	NoMsgID bool
	// NumberTransient: online-only and directed messages take a number of the group. Else theirs is 0.
	NumberTransient bool
	// DirectedInWebhook: AfterSendMsg of a directed message has To_Account.
	DirectedInWebhook bool
	// TipSeqs: the notices of joining and leaving take a number of the group, so that there are holes.
	TipSeqs bool
	// SendDropsReceipt: send_group_msg with NeedReadReceipt where there can be none sends without,
	// instead of 10059, 10060, 10061 or 10007.
	SendDropsReceipt bool
	// DuplicateHidesSeq: the answer to a send that is dropped as a duplicate has no MsgSeq (0).
	DuplicateHidesSeq bool
	// ClientSkew is how far the clocks of the users' devices are off. The middle part of a msgID is
	// their time.
	ClientSkew time.Duration
	// AddMax is how many add_group_member takes: 20 if zero (China); the international page says 300.
	AddMax int
	// FinishedAtStart: IsFinished of group_msg_get_simple is 1 only if the first message was reached.
	// Else it is 1 whenever all that was asked for is there.
	FinishedAtStart bool
	// HistoryMax is how many messages group_msg_get_simple returns even if more were asked for (long
	// replies are cut), with IsFinished 0; 20 if zero.
	HistoryMax int
	// MemberPageMax is how many members get_group_member_info returns even if more were asked for; 200 if
	// zero.
	MemberPageMax int
}

func (p *Points) setDefaults() {
	p.WebhookWorkers = orDefault(p.WebhookWorkers, 8)
	p.AddMax = orDefault(p.AddMax, 20)
	p.HistoryMax = orDefault(p.HistoryMax, 20)
	p.MemberPageMax = orDefault(p.MemberPageMax, 200)
}

// Variants gives base as it is ("plain"), then with each open point the other way, one at a time, then
// with many at once. The names are fit for subtests. NoAckCommand (5) is left out: without that command
// nothing crosses towards Tencent, so it wants a test of its own.
func Variants(base Options) iter.Seq2[string, Options] {
	return func(yield func(string, Options) bool) {
		if !yield("plain", base) {
			return
		}
		together, rest := base, base
		for _, v := range variants() {
			one := base
			v.set(&one.Points)
			if !yield(v.name, one) {
				return
			}
			if v.other {
				v.set(&rest.Points)
			} else {
				v.set(&together.Points)
			}
		}
		if yield("many_at_once", together) {
			yield("many_others_at_once", rest)
		}
	}
}

// variant sets one point. Those that are another way of a point that is there already, or that hide
// what others show, are marked.
type variant struct {
	name  string
	other bool
	set   func(*Points)
}

func variants() []variant {
	return []variant{
		{"01_bad_ack_refuses_one", false, func(p *Points) { p.BadAck = BadAckRefusesOne }},
		{"01_bad_ack_ignored", true, func(p *Points) { p.BadAck = BadAckIgnored }},
		{"02_client_ack_max_30", false, func(p *Points) { p.ClientAckMax = 30 }},
		{"03_non_member_acks", false, func(p *Points) { p.NonMemberAcks = true }},
		{"04_echo_acks", false, func(p *Points) { p.EchoAcks = true }},
		{"06_query_max_50", false, func(p *Points) { p.QueryMax = 50 }},
		{"07_whole_members", false, func(p *Points) { p.WholeMembers = true }},
		{"07_sent_members_absent", false, func(p *Points) { p.SentMembers = SentMembersAbsent }},
		{"07_sent_members_null", true, func(p *Points) { p.SentMembers = SentMembersNull }},
		{"07_gather_readers", true, func(p *Points) { p.GatherReaders = 3 * time.Millisecond }},
		{"07_one_seq_per_webhook", false, func(p *Points) { p.OneSeqPerWebhook = true }},
		{"08_event_time_string", false, func(p *Points) { p.EventTimeString = true }},
		{"09_webhook_retries", false, func(p *Points) { p.WebhookRetries = 3 }},
		{"10_repeat_fires", false, func(p *Points) { p.RepeatFires = true }},
		{"11_own_ack_counts", false, func(p *Points) { p.OwnAckCounts = true }},
		{"12_receipts_kept_7_days", true, func(p *Points) { p.ReceiptsKept = 7 * 24 * time.Hour }},
		{"13_flag_in_webhook", true, func(p *Points) { p.FlagInWebhook = true }},
		{"13_flag_in_history", true, func(p *Points) { p.FlagInHistory = true }},
		{"14_is_finished", false, func(p *Points) { p.IsFinished = true }},
		{"15_large_keeps_receipts", false, func(p *Points) { p.LargeKeepsReceipts = true }},
		{"15_unread_follows", false, func(p *Points) { p.UnreadFollows = true }},
		{"16_webhooks_per_second", true, func(p *Points) { p.WebhooksPerSecond = 500 }},
		{"17_in_order", true, func(p *Points) { p.WebhookWorkers = 1 }},
		{"18_recall_drops_receipts", false, func(p *Points) { p.RecallDropsReceipts = true }},
		{"18_modify_drops_receipts", false, func(p *Points) { p.ModifyDropsReceipts = true }},
		{"no_msg_id", true, func(p *Points) { p.NoMsgID = true }},
		{"number_transient", false, func(p *Points) { p.NumberTransient = true }},
		{"directed_in_webhook", false, func(p *Points) { p.DirectedInWebhook = true }},
		{"tip_seqs", false, func(p *Points) { p.TipSeqs = true }},
		{"send_drops_receipt", false, func(p *Points) { p.SendDropsReceipt = true }},
		{"duplicate_hides_seq", false, func(p *Points) { p.DuplicateHidesSeq = true }},
		{"client_skew", false, func(p *Points) { p.ClientSkew = -7 * time.Second }},
		{"finished_at_start", false, func(p *Points) { p.FinishedAtStart = true }},
		{"history_max_3", false, func(p *Points) { p.HistoryMax = 3 }},
		{"member_page_max_2", false, func(p *Points) { p.MemberPageMax = 2 }},
	}
}
