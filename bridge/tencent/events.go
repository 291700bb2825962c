package tencent

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Commands of the webhooks that become events; all others are answered OK and forgotten.
const (
	CommandAfterReadReceipt      = "Group.CallbackAfterReadReceipt"
	CommandAfterSendMsg          = "Group.CallbackAfterSendMsg"
	CommandAfterRecallMsg        = "Group.CallbackAfterRecallMsg"
	CommandAfterNewMemberJoin    = "Group.CallbackAfterNewMemberJoin"
	CommandAfterMemberExit       = "Group.CallbackAfterMemberExit"
	CommandAfterGroupDestroyed   = "Group.CallbackAfterGroupDestroyed"
	CommandAfterCreateGroup      = "Group.CallbackAfterCreateGroup"
	CommandAfterGroupInfoChanged = "Group.CallbackAfterGroupInfoChanged"
)

// Event is what a webhook tells: one of *[ReadReceipt], *[GroupMsgSent], *[GroupMsgRecalled],
// *[MembersJoined], *[MembersLeft], *[GroupDestroyed], *[GroupCreated] and *[GroupInfoChanged].
//
// Events come in any order, more than once or not at all; nothing but what they say may be concluded
// from them. [WH]
type Event interface {
	// Group returns the GroupId, which is never empty.
	Group() string
	// check tells what makes the event unusable and leaves out single unusable entries.
	check() error
}

// GroupEvent is what all events have.
type GroupEvent struct {
	GroupId string
	// Type is the type of the group, such as Public.
	Type string
	// EventTime is when it happened, in milliseconds; 0 if unknown.
	EventTime Millis
}

// Group returns the GroupId.
func (e *GroupEvent) Group() string { return e.GroupId }

func (e *GroupEvent) check() error {
	if !validID(e.GroupId) {
		return errBadGroup
	}
	return nil
}

// What can be wrong with an event that is readable.
var (
	errBadGroup   = errors.New("the GroupId is missing or malformed")
	errBadSender  = errors.New("the From_Account is missing or malformed")
	errBadRandom  = errors.New("the Random is out of range")
	errNoSeqs     = errors.New("no message is named")
	errNoMembers  = errors.New("no member is named")
	errNotCommand = errors.New("the CallbackCommand is missing, or another one in the query and the body")
)

// ReadReceipt tells who has read messages, and, by naming them at all, that they were sent with
// NeedReadReceipt. It also comes when such a message is sent, with nobody in it. [CB-RR]
type ReadReceipt struct {
	GroupEvent
	GroupMsgReceiptList []ReadMsg
}

// ReadMsg is the state of one message. ReadReceiptMembers may be all readers or only the newest ones:
// the two cannot be told apart.
type ReadMsg struct {
	MsgSeq             Uint
	ReadNum            Uint
	UnreadNum          Uint
	ReadReceiptMembers Accounts
}

func (e *ReadReceipt) check() error {
	kept := e.GroupMsgReceiptList[:0]
	for _, m := range e.GroupMsgReceiptList {
		if m.MsgSeq != 0 {
			kept = append(kept, m)
		}
	}
	if e.GroupMsgReceiptList = kept; len(kept) == 0 {
		return errNoSeqs
	}
	return e.GroupEvent.check()
}

// GroupMsgSent tells of a message, also of those sent by the server API. [CB-SEND]
type GroupMsgSent struct {
	GroupEvent
	From_Account string
	// Operator_Account is another than From_Account where an administrator sent in its name.
	Operator_Account string
	// Random is the sender's own number for the message; the third part of MsgId.
	Random Uint
	// MsgSeq may be 0, or a number that means nothing, in messages that have no place in the history:
	// those that are OnlineOnlyFlag, and those that went to To_Account only.
	MsgSeq Uint
	// MsgId is the SDKs' id of the message; empty in older payloads.
	MsgId          string
	MsgTime        Uint // seconds
	OnlineOnlyFlag Flag
	// To_Account are the only receivers, if the message had such. Whether the payload ever says so is
	// not documented.
	To_Account      Accounts
	MsgBody         []MsgElem
	CloudCustomData string
	GroupAtInfo     []GroupAt
	// TopicId is set in topics of communities, whose seqs are not those of the group.
	TopicId string
	// NeedReadReceipt is nil where the payload does not say it. Whether it ever does is not documented.
	NeedReadReceipt *Flag
}

// Time returns when the message was sent, in full seconds, or the zero time.
func (e *GroupMsgSent) Time() time.Time { return unixSeconds(e.MsgTime) }

func (e *GroupMsgSent) check() error {
	switch {
	case !validID(e.From_Account):
		return errBadSender
	case e.Random > 1<<32-1:
		return errBadRandom
	}
	if !validID(e.MsgId) {
		e.MsgId = ""
	}
	return e.GroupEvent.check()
}

// GroupMsgRecalled tells of messages that were recalled. [CB-RECALL]
type GroupMsgRecalled struct {
	GroupEvent
	Operator_Account string
	MsgSeqList       []RecalledMsg
	// TopicId is set in topics of communities, whose seqs are not those of the group.
	TopicId string
}

// RecalledMsg names a recalled message; MsgId is empty in older payloads.
type RecalledMsg struct {
	MsgSeq Uint
	MsgId  string
}

// Seqs returns the seqs of the messages.
func (e *GroupMsgRecalled) Seqs() []receipts.MsgSeq {
	seqs := make([]receipts.MsgSeq, len(e.MsgSeqList))
	for i, m := range e.MsgSeqList {
		seqs[i] = receipts.MsgSeq(m.MsgSeq)
	}
	return seqs
}

func (e *GroupMsgRecalled) check() error {
	kept := e.MsgSeqList[:0]
	for _, m := range e.MsgSeqList {
		if m.MsgSeq == 0 {
			continue
		}
		if !validID(m.MsgId) {
			m.MsgId = ""
		}
		kept = append(kept, m)
	}
	if e.MsgSeqList = kept; len(kept) == 0 {
		return errNoSeqs
	}
	return e.GroupEvent.check()
}

// MembersJoined tells of new members. [CB-JOIN]
type MembersJoined struct {
	GroupEvent
	JoinType         string // Apply or Invited
	Operator_Account string
	NewMemberList    Accounts
}

func (e *MembersJoined) check() error {
	if len(e.NewMemberList) == 0 {
		return errNoMembers
	}
	return e.GroupEvent.check()
}

// MembersLeft tells of members who left or were removed. [CB-EXIT]
type MembersLeft struct {
	GroupEvent
	ExitType         string // Kicked or Quit
	Operator_Account string
	ExitMemberList   Accounts
}

func (e *MembersLeft) check() error {
	if len(e.ExitMemberList) == 0 {
		return errNoMembers
	}
	return e.GroupEvent.check()
}

// GroupDestroyed tells that a group was dismissed. [CB-DESTROY]
type GroupDestroyed struct {
	GroupEvent
	Owner_Account string
	Name          string
	MemberList    Accounts
}

// GroupCreated tells of a new group and its first members, the owner possibly not among them. [CB-CREATE]
type GroupCreated struct {
	GroupEvent
	Operator_Account string
	Owner_Account    string
	Name             string
	MemberList       Accounts
}

// GroupInfoChanged tells what a group's fields are now; those that did not change are nil. [CB-INFO]
type GroupInfoChanged struct {
	GroupEvent
	Operator_Account string
	Name             *string
	Introduction     *string
	Notification     *string
	FaceUrl          *string
}

// newEvent returns an empty event for a command, nil for a command that is of no interest.
func newEvent(command string) Event {
	switch command {
	case CommandAfterReadReceipt:
		return new(ReadReceipt)
	case CommandAfterSendMsg:
		return new(GroupMsgSent)
	case CommandAfterRecallMsg:
		return new(GroupMsgRecalled)
	case CommandAfterNewMemberJoin:
		return new(MembersJoined)
	case CommandAfterMemberExit:
		return new(MembersLeft)
	case CommandAfterGroupDestroyed:
		return new(GroupDestroyed)
	case CommandAfterCreateGroup:
		return new(GroupCreated)
	case CommandAfterGroupInfoChanged:
		return new(GroupInfoChanged)
	}
	return nil
}

// decodeEvent reads the body of a webhook into event.
func decodeEvent(body []byte, event Event) error {
	if err := json.Unmarshal(body, event); err != nil {
		return err
	}
	return event.check()
}
