package v2tim

import (
	"context"
	"errors"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// Service is what the calls of apps and of the app's backend come down to. The
// bridge core implements it; this package has authenticated the caller and
// checked the shape of the arguments before it calls.
//
// An error that is a [*receipts.Error] is answered with its code and text. Any
// other error is logged and answered with 10002 (internal, try again) without its
// text. All methods must be safe for concurrent use and end when ctx does.
type Service interface {
	// SendMessageReadReceipts acknowledges messages of one group for caller, all
	// or nothing, and returns after the commit. The list has passed
	// [receipts.CheckShape] and names each ID once.
	SendMessageReadReceipts(ctx context.Context, caller string, messageIDList []string) error
	// GetMessageReadReceipts returns the counts of messages, in the order asked.
	// The list has passed [receipts.CheckShape] and names each ID once.
	GetMessageReadReceipts(ctx context.Context, caller string, messageIDList []string) ([]MessageReceipt, error)
	// GetGroupMessageReadMemberList returns one page of the readers
	// ([FilterRead]) or non-readers ([FilterUnread]) of a message. nextSeq is 0
	// for the first page, then what the page before said; count is 1..100.
	GetGroupMessageReadMemberList(ctx context.Context, caller, messageID string, filter int, nextSeq uint64, count int) (MemberList, error)
	// SendMessage sends a message to a group as caller.
	SendMessage(ctx context.Context, caller string, msg OutgoingMessage) (SentMessage, error)

	// GroupMsgReceipt acknowledges 1..50 different seqs of a group for a user, on
	// the word of an administrator.
	GroupMsgReceipt(ctx context.Context, groupID, fromAccount string, seqs []uint64) error
	// GetGroupMsgReceipt returns the counts of 1..[MaxReceiptSeqs] different
	// seqs, one item for each in the order asked; a message that has none gets
	// its item a Code.
	GetGroupMsgReceipt(ctx context.Context, groupID string, seqs []uint64) ([]SeqReceipt, error)
	// GetGroupMsgReceiptDetail returns one page of the readers or non-readers of
	// a message. cursor is "" for the first page; count is 1..200.
	GetGroupMsgReceiptDetail(ctx context.Context, groupID string, seq uint64, filter int, cursor string, count int) (ReceiptDetail, error)
}

// The two filters of the calls that list members; Tencent's values
// (V2TIM_GROUP_MESSAGE_READ_MEMBERS_FILTER_READ and _UNREAD).
const (
	FilterRead   = 0
	FilterUnread = 1
)

// Limits of single calls. The page sizes and the 50 are Tencent's
// (contract-tencent.md sections 1.1 and 3.2); for the length of
// get_group_msg_receipt no figure is published, so ours is the largest page.
const (
	MaxMemberPage  = 100 // getGroupMessageReadMemberList: members in a page
	MaxDetailPage  = 200 // get_group_msg_receipt_detail: members in a page
	MaxAckSeqs     = 50  // group_msg_receipt: seqs in a call
	MaxReceiptSeqs = 200 // get_group_msg_receipt: seqs in a call
)

// MessageReceipt is Tencent's V2TIMMessageReceipt. For groups UserID stays empty
// and Timestamp and IsPeerRead zero: they belong to one-to-one chats.
type MessageReceipt struct {
	MsgID       string `json:"msgID"`
	GroupID     string `json:"groupID"`
	UserID      string `json:"userID"`
	Timestamp   int64  `json:"timestamp"`
	ReadCount   uint64 `json:"readCount"`
	UnreadCount uint64 `json:"unreadCount"`
	IsPeerRead  bool   `json:"isPeerRead"`
}

// MemberList is Tencent's V2TIMGroupMessageReadMemberList: one page of members.
type MemberList struct {
	NextSeq        uint64       `json:"nextSeq"` // to ask with for the next page
	IsFinished     bool         `json:"isFinished"`
	MemberInfoList []MemberInfo `json:"memberInfoList"`
}

// MemberInfo names one member.
type MemberInfo struct {
	UserID string `json:"userID"`
}

// OutgoingMessage is a message an app wants to send. Exactly one of Text and
// CustomData is not empty.
type OutgoingMessage struct {
	GroupID    string
	Text       string
	CustomData string
	// NeedReadReceipt asks for read receipts of this message.
	NeedReadReceipt bool
	// OnlineUserOnly sends to those who are online and keeps nothing: such a
	// message has no seq and no receipts.
	OnlineUserOnly bool
	// Random, if HasRandom, makes sending again safe: the same caller, group and
	// Random within five minutes is the same message (Tencent: send_group_msg).
	Random    uint32
	HasRandom bool
}

// SentMessage says under which names a message was sent.
type SentMessage struct {
	MsgID   string `json:"msgID"`
	Seq     uint64 `json:"seq,string"` // 0 = none (sent to online users only)
	GroupID string `json:"groupID"`
	// Timestamp is when it was sent, in Unix seconds.
	Timestamp int64 `json:"timestamp,omitempty"`
}

// SeqReceipt is one item of get_group_msg_receipt.
type SeqReceipt struct {
	MsgSeq    uint64        `json:"MsgSeq"`
	Code      receipts.Code `json:"Code"` // 0, or why there are no counts, as 10062
	ReadNum   uint64        `json:"ReadNum"`
	UnreadNum uint64        `json:"UnreadNum"`
}

// ReceiptDetail is one page of get_group_msg_receipt_detail.
type ReceiptDetail struct {
	Members    []string // the readers or the non-readers, as the filter said
	Cursor     string   // to ask with for the next page
	IsFinished bool
}

// Events is where pushed events come from. The bridge core implements it; all
// methods must be safe for concurrent use.
type Events interface {
	// Subscribe returns a channel that gets a value (or is closed) some time
	// after there may be something new for user; values may be merged, so it is
	// best a channel of capacity 1 with non-blocking sends. cancel ends it; it
	// may be called more than once.
	Subscribe(user string) (wake <-chan struct{}, cancel func())
	// Read returns what came for user after a cursor, oldest first, at most
	// about limit items. An empty batch carries a cursor at or after the one
	// asked with. A cursor it cannot serve from any more, or does not know, gets
	// [ErrCursorTooOld].
	Read(ctx context.Context, user, after string, limit int) (EventBatch, error)
	// Now returns the cursor after which everything new will be.
	Now(ctx context.Context) (cursor string, err error)
}

// ErrCursorTooOld says that events after a cursor are no longer (or were never)
// known. The listener is told to "resync" and goes on from now.
var ErrCursorTooOld = errors.New("the cursor is too old")

// EventBatch is one step of a user's events.
type EventBatch struct {
	// Cursor stands after everything in this batch. Cursors are opaque to apps
	// and to this package: printable ASCII, at most 256 bytes.
	Cursor string
	// Receipts are the latest counts of messages that user sent.
	Receipts []MessageReceipt
	// Messages are new messages in groups of user.
	Messages []NewMessage
	// More says that another Read will find more at once.
	More bool
}

// NewMessage is a message that came into a group, as onRecvNewMessage tells it.
// Names follow V2TIMMessage.
type NewMessage struct {
	MsgID           string `json:"msgID"`
	Seq             uint64 `json:"seq,string"` // 0 = none (sent to online users only)
	Random          uint32 `json:"random"`
	GroupID         string `json:"groupID"`
	Sender          string `json:"sender"`
	NickName        string `json:"nickName,omitempty"`
	Text            string `json:"text,omitempty"`
	CustomData      string `json:"customData,omitempty"`
	Timestamp       int64  `json:"timestamp"` // Unix seconds
	NeedReadReceipt bool   `json:"needReadReceipt"`
	OnlineUserOnly  bool   `json:"onlineUserOnly,omitempty"`
	IsSelf          bool   `json:"isSelf"`
}

// Config is what a [Server] needs to know. Zero values mean the default that
// stands with each field.
type Config struct {
	// SDKAppID and SecretKey are the app's; a UserSig of any other is refused.
	SDKAppID  uint64
	SecretKey string
	// Admins may call group_open_http_svc and timbridge; nobody else may.
	Admins []string

	MaxBody    int64 // largest body in bytes; 1 MiB
	MaxIDs     int   // largest messageIDList; 30
	MaxMessage int   // largest text or customData in bytes; 12 KiB

	// RatePerSecond and RateBurst bound the v2tim calls of each user (7008);
	// RatePerSecond 0 = no limit, RateBurst 0 = one second's worth.
	RatePerSecond float64
	RateBurst     int

	// SigFailures is how many bad signatures may come from one address in a minute;
	// further ones are answered 70050, and their connections closed. 0 = no limit.
	SigFailures int

	// MinSDKVersion and DenyPlatforms enforce the client hints
	// X-TIM-SDK-Version and X-TIM-Platform on receipt calls (7013). A client that
	// does not say is let through: they are hints. Empty = off.
	MinSDKVersion string
	DenyPlatforms []string

	// CoalesceWindow: a listener gets receipts at most once per this time; 200 ms.
	CoalesceWindow time.Duration
	// MaxConnections and MaxConnectionsPerUser bound open WebSockets; 4096 and 8.
	MaxConnections        int
	MaxConnectionsPerUser int
	// PingInterval is how often an open WebSocket is probed; 30 s.
	PingInterval time.Duration
	// WriteTimeout is how long one frame, or the pong to a ping, may take before
	// the listener is dropped; 10 s.
	WriteTimeout time.Duration
	// BodyTimeout is how long reading a request body may take; 10 s.
	BodyTimeout time.Duration
	// CallTimeout is how long a call to Service or Admin may take; 30 s.
	CallTimeout time.Duration

	// Now is the clock, for tests; time.Now.
	Now func() time.Time
}
