package tencenttest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// recallTime is how long a client may recall.
const recallTime = 2 * time.Minute

// User is somebody who uses the app with Tencent's own SDK. The methods act at once, without HTTP;
// errors are [*receipts.Error].
type User struct {
	s *Server
	// ID is the UserID. Platform is the OptPlatform of what he does, "Android" if not changed.
	ID, Platform string
}

// User returns somebody who is logged in: the account is made if it does not exist.
func (s *Server) User(id string) *User {
	s.locked(func() { s.addAccount(id) })
	return &User{s: s, ID: id, Platform: "Android"}
}

// SendOptions are how a message is sent.
type SendOptions struct {
	NeedReadReceipt, OnlineOnly bool
	// To makes it a directed message.
	To              []string
	CloudCustomData string
	// Random is chosen if zero.
	Random uint32
	// At are those mentioned; "" is everybody.
	At []string
	// TopicID is of a Community group.
	TopicID string
	// Body is a MsgBody (a JSON array of elements) in place of the text.
	Body json.RawMessage
}

// Receipt is what onRecvMessageReadReceipts tells the sender of a message.
type Receipt struct {
	GroupID, MsgID         string
	Seq                    uint64
	ReadCount, UnreadCount int
}

// Send sends a text, or what the options say. A receipt that cannot be had is silently not there, as
// with the SDK; see Message.HasReceipt.
func (u *User) Send(groupID, text string, o SendOptions) (Message, error) {
	body := textBody(text)
	if o.Body != nil {
		body = nil
		if err := json.Unmarshal(o.Body, &body); err != nil {
			return Message{}, fmt.Errorf("failed to read body: %w", err)
		}
	}
	var mentions []atInfo
	for _, user := range o.At {
		mentions = append(mentions, atInfo{GroupAtAllFlag: number(user == ""), GroupAtAccount: user})
	}
	u.s.mu.Lock()
	for o.Random == 0 {
		o.Random = u.s.rand.Uint32()
	}
	u.s.mu.Unlock()
	m, _, refused := u.s.send(groupID, draft{
		message: message{
			random: o.Random, from: u.ID, operator: u.ID, body: body, cloud: o.CloudCustomData, online: o.OnlineOnly,
			to: slices.Clone(o.To), topic: o.TopicID, mentions: mentions, needed: o.NeedReadReceipt,
		},
		platform:   u.Platform,
		clientTime: u.s.now().Add(u.s.opts.ClientSkew),
		before:     true,
	})
	return m, asError(refused)
}

// Ack is sendMessageReadReceipts for messages of one group.
func (u *User) Ack(groupID string, seqs ...uint64) error {
	if limit := u.s.opts.ClientAckMax; len(seqs) == 0 || limit > 0 && len(seqs) > limit {
		return refuse(receipts.CodeInvalidParameters, "%d messages", len(seqs))
	}
	return u.do(groupID, func(g *group) *receipts.Error {
		refused := u.s.ack(g, u.ID, seqs, u.Platform)
		if refused != nil && refused.Code == receipts.CodeReceiptNotIncluded {
			return refuse(receipts.CodeInterfaceNotSupported, "%s", refused.Desc)
		}
		return refused
	})
}

// Join joins. Nobody joins a Work group by himself (10007).
func (u *User) Join(groupID string) error {
	return u.do(groupID, func(g *group) *receipts.Error {
		if plainType(g.typ) == "Work" {
			return refuse(receipts.CodePermissionDeny, "groups of type %s are by invitation", g.typ)
		}
		return u.bring(g, []string{u.ID}, "Apply")
	})
}

// Invite brings others into a group that he is in.
func (u *User) Invite(groupID string, users ...string) error {
	return u.do(groupID, func(g *group) *receipts.Error {
		if g.members[u.ID] == nil {
			return refuse(receipts.CodePermissionDeny, "%s is not in the group", u.ID)
		}
		return u.bring(g, users, "Invited")
	})
}

func (u *User) bring(g *group, users []string, how string) *receipts.Error {
	news, refused := u.s.join(g, users)
	if refused == nil {
		u.s.joinedBy(g, users, news, how, u.ID, u.Platform, false)
	}
	return refused
}

// Leave leaves. The owner cannot.
func (u *User) Leave(groupID string) error {
	return u.do(groupID, func(g *group) *receipts.Error {
		if g.members[u.ID] == nil {
			return refuse(receipts.CodePermissionDeny, "%s is not in the group", u.ID)
		}
		return u.s.leave(g, []string{u.ID}, "Quit", u.ID, u.Platform, false)
	})
}

// Kick removes others; only the owner can.
func (u *User) Kick(groupID string, users ...string) error {
	return u.do(groupID, func(g *group) *receipts.Error {
		if g.owner != u.ID {
			return refuse(receipts.CodePermissionDeny, "%s does not own the group", u.ID)
		}
		return u.s.leave(g, users, "Kicked", u.ID, u.Platform, false)
	})
}

// Recall takes back a message of one's own within two minutes, or, as the owner, any.
func (u *User) Recall(groupID string, seq uint64) error {
	return u.do(groupID, func(g *group) *receipts.Error {
		m := u.s.stored(g, seq)
		switch {
		case m == nil || m.recalled:
			return refuse(codeRecallNotFound, "message %d is not there", seq)
		case m.from != u.ID && g.owner != u.ID:
			return refuse(codeRecallDenied, "message %d is of %s", seq, m.from)
		case m.from == u.ID && g.owner != u.ID && u.s.now().Sub(m.at) > recallTime:
			return refuse(codeRecallTooLate, "message %d is older than %s", seq, recallTime)
		}
		m.recalled = true
		u.s.emitRecall(g, []*message{m}, u.ID, u.Platform)
		return nil
	})
}

// Edit changes the text of a message of one's own.
func (u *User) Edit(groupID string, seq uint64, text string) error {
	return u.do(groupID, func(g *group) *receipts.Error {
		if m := g.message(seq); m != nil && m.from != u.ID {
			return refuse(receipts.CodePermissionDeny, "message %d is of %s", seq, m.from)
		}
		return u.s.modify(g, seq, textBody(text), nil)
	})
}

// SetProfile sets the nick and the address of the avatar.
func (u *User) SetProfile(nick, faceURL string) {
	u.s.locked(func() {
		profile := u.s.addAccount(u.ID).profile
		profile[tagNick], profile[tagImage] = mustJSON(nick), mustJSON(faceURL)
	})
}

// Receipts returns what his listener (onRecvMessageReadReceipts) was told, oldest first.
func (u *User) Receipts() []Receipt {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return slices.Clone(u.s.addAccount(u.ID).receipts)
}

// Messages returns what he sees of a group: nothing as a stranger, no directed message of others.
func (u *User) Messages(groupID string) []Message {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	g := u.s.groups[groupID]
	if g == nil || g.members[u.ID] == nil {
		return nil
	}
	var seen []Message
	for _, m := range slices.Concat(g.messages, g.apart) {
		if !m.gone && (len(m.to) == 0 || m.from == u.ID || slices.Contains(m.to, u.ID)) {
			seen = append(seen, g.export(m))
		}
	}
	return seen
}

func (u *User) do(groupID string, act func(*group) *receipts.Error) error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	defer u.s.notify()
	g, refused := u.s.liveGroup(groupID)
	if refused == nil {
		refused = act(g)
	}
	return asError(refused)
}

// asError keeps a nil *receipts.Error from becoming an error that is not nil.
func asError(refused *receipts.Error) error {
	if refused == nil {
		return nil
	}
	return refused
}
