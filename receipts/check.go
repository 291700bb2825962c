package receipts

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultMaxIDs is the most message ids in one call of sendMessageReadReceipts.
// Source: https://www.tencentcloud.com/document/product/1047/48886 (web guide); the
// other SDKs name no number.
const DefaultMaxIDs = 30

// CheckLimits bounds a call of sendMessageReadReceipts.
type CheckLimits struct {
	// MaxIDs is the most different ids in one call; below 1 it is [DefaultMaxIDs].
	MaxIDs int
	// MaxMembers is the most members of a group with receipts, 0 for no limit.
	MaxMembers int
}

// Resolved is what a message id was found to name.
type Resolved struct {
	// GroupID and Group are the message's group, GroupType its Tencent type.
	GroupID   string
	Group     GroupKey
	GroupType string
	// Members is how many members the group has now.
	Members int
	// CallerIsMember: the caller is a member now (for C2C: takes part).
	CallerIsMember bool
	// Edition: read receipts are included in what the group's app has paid for.
	Edition bool
	// Message is the message. One without Seq counts as unknown.
	Message Message
	// C2C: it is no group message.
	C2C bool
}

// Request is a checked call: messages of one group that are to be marked as read.
type Request struct {
	Group   GroupKey
	GroupID string
	// Seqs is never empty.
	Seqs Set
	// Messages are the messages of Seqs, each once, in the order of the ids.
	Messages []Message
}

// CheckShape is the check that needs no look-up, and so comes before any: the
// list must have entries, none empty, and at most maxIDs different ones (below 1:
// [DefaultMaxIDs]). Otherwise the error is an [*Error] with
// [CodeInvalidParameters].
func CheckShape(ids []string, maxIDs int) error {
	if len(ids) == 0 {
		return NewError(CodeInvalidParameters, "messageIDList is empty")
	}
	if maxIDs < 1 {
		maxIDs = DefaultMaxIDs
	}
	seen := make(map[string]struct{}, min(len(ids), maxIDs+1))
	for i, id := range ids {
		if id == "" {
			return NewError(CodeInvalidParameters, fmt.Sprintf("messageIDList[%d] is empty", i))
		}
		if seen[id] = struct{}{}; len(seen) > maxIDs {
			return NewError(CodeInvalidParameters, fmt.Sprintf("messageIDList has more than %d ids", maxIDs))
		}
	}
	return nil
}

// Check decides over a call of sendMessageReadReceipts by caller: all of it or
// nothing. resolve has what the ids name; an id that is not in it is unknown. The
// error is an [*Error], found in this order:
//
//   - the list's shape (see [CheckShape]): 6017
//   - unknown ids and ids of groups without the caller, which he cannot tell apart:
//     6017, naming them
//   - C2C messages: 6017. Messages of more than one group, the same-group rule:
//     6017, naming the groups and which id belongs to which
//   - the group's app has no receipts: 10059. The type of group has none: 10007. It
//     has too many members: 10060
//   - own, recalled, online-only and receipt-less messages are left out, and none
//     is left: 10061 if all of them were online-only, else 10062
//
// A message of which it is not known whether it wants a receipt is accepted: that
// he has read it is true in any case.
func Check(caller UserKey, ids []string, resolve map[string]Resolved, lim CheckLimits) (Request, error) {
	if err := CheckShape(ids, lim.MaxIDs); err != nil {
		return Request{}, err
	}
	ids = distinct(ids)
	if err := CheckKnown(ids, resolve); err != nil {
		return Request{}, err
	}
	if err := checkSameGroup(ids, resolve); err != nil {
		return Request{}, err
	}
	group := resolve[ids[0]]
	if err := checkGroup(group, lim.MaxMembers); err != nil {
		return Request{}, err
	}
	req := Request{Group: group.Group, GroupID: group.GroupID}
	var seqs []MsgSeq
	onlineOnly := true
	for _, id := range ids {
		m := resolve[id].Message
		onlineOnly = onlineOnly && m.OnlineOnly
		if !m.mayNeed(caller) || req.has(m.Seq) {
			continue
		}
		seqs = append(seqs, m.Seq)
		req.Messages = append(req.Messages, m)
	}
	switch {
	case len(seqs) > 0:
		req.Seqs = SetOf(seqs...)
		return req, nil
	case onlineOnly:
		return Request{}, NewError(CodeReceiptOnlineMessage, "")
	default:
		return Request{}, NewError(CodeReceiptNotExist, "none of the messages is another member's message sent with needReadReceipt")
	}
}

func (r *Request) has(seq MsgSeq) bool {
	for i := range r.Messages {
		if r.Messages[i].Seq == seq {
			return true
		}
	}
	return false
}

// TypeHasReceipts reports whether groups of a Tencent type have read receipts:
// all but AVChatRoom and Community. Source: https://trtc.io/document/34419.
func TypeHasReceipts(groupType string) bool {
	return !strings.EqualFold(groupType, "AVChatRoom") && !strings.EqualFold(groupType, "Community")
}

// CheckKnown is the check that the caller may know of every message that ids name:
// it was found and is of a group that he is in. The error is an [*Error] with
// [CodeInvalidParameters] that names the others, and does not tell whether they
// exist.
func CheckKnown(ids []string, resolve map[string]Resolved) error {
	var unknown []string
	for _, id := range distinct(ids) {
		if r, ok := resolve[id]; !ok || !r.CallerIsMember || r.Message.Seq == 0 && !r.C2C {
			unknown = append(unknown, id)
		}
	}
	if len(unknown) > 0 {
		return NewError(CodeInvalidParameters, "unknown messages: "+quoteAll(unknown))
	}
	return nil
}

func checkSameGroup(ids []string, resolve map[string]Resolved) error {
	var c2c, groups []string
	byGroup := make(map[GroupKey][]string)
	var order []GroupKey
	for _, id := range ids {
		r := resolve[id]
		if r.C2C {
			c2c = append(c2c, id)
			continue
		}
		if byGroup[r.Group] == nil {
			order = append(order, r.Group)
			groups = append(groups, r.GroupID)
		}
		byGroup[r.Group] = append(byGroup[r.Group], id)
	}
	if len(c2c) > 0 {
		return NewError(CodeInvalidParameters, "C2C messages are not bridged: "+quoteAll(c2c))
	}
	if len(order) < 2 {
		return nil
	}
	parts := make([]string, len(order))
	for i, key := range order {
		parts[i] = "group " + quote(groups[i]) + ": " + quoteAll(byGroup[key])
	}
	return NewError(CodeInvalidParameters,
		fmt.Sprintf("messages of %d groups in one call; all must be of the same group; %s", len(order), strings.Join(parts, "; ")))
}

func checkGroup(r Resolved, maxMembers int) error {
	switch {
	case !r.Edition:
		return NewError(CodeReceiptNotIncluded, "")
	case !TypeHasReceipts(r.GroupType):
		return NewError(CodePermissionDeny, "groups of type "+quote(r.GroupType)+" have no read receipts")
	case maxMembers > 0 && r.Members > maxMembers:
		return NewError(CodeReceiptGroupTooLarge, fmt.Sprintf("group has %d members; read receipts are for at most %d", r.Members, maxMembers))
	default:
		return nil
	}
}

func distinct(ids []string) []string {
	seen := make(map[string]struct{}, len(ids))
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if _, ok := seen[id]; !ok {
			seen[id] = struct{}{}
			out = append(out, id)
		}
	}
	return out
}

// quote writes an id into a description: what a caller sent may be of any length
// and hold anything.
func quote(s string) string {
	const longest = 96
	if len(s) > longest {
		return strconv.QuoteToASCII(s[:longest]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

func quoteAll(ss []string) string {
	quoted := make([]string, len(ss))
	for i, s := range ss {
		quoted[i] = quote(s)
	}
	return strings.Join(quoted, ", ")
}
