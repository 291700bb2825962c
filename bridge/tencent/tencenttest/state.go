package tencenttest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/timbridge/timbridge/receipts"
)

// receiptMembers is the largest group that has receipts.
const receiptMembers = 200

// account is somebody the app has imported or who has logged in.
type account struct {
	id       string
	tiny     uint64 // Tencent's inner number, the first part of a msgID
	profile  map[string]json.RawMessage
	receipts []Receipt // what the SDK's listener was told
}

// group is a group that exists. Messages stand at seq-1.
type group struct {
	id, typ, name, introduction, notification, faceURL, owner string
	created                                                   time.Time
	max                                                       int
	members                                                   map[string]*member
	messages                                                  []*message
	apart                                                     []*message // without a number of the group
	topicSeqs                                                 map[string]uint64
	sends                                                     window
	recent                                                    map[string]*message // by sender, Random and content, for duplicates
}

type member struct {
	account string
	role    string
	joined  time.Time
	no      int // order of joining
}

type message struct {
	seq        uint64
	random     uint32
	msgID      string
	from       string
	operator   string
	at         time.Time
	body       []element
	cloud      string
	online     bool
	to         []string
	topic      string
	mentions   []atInfo
	needed     bool // sent with the flag
	receipt    bool // has receipts
	recalled   bool
	edited     bool
	gone       bool // a notice, or deleted, or never stored
	recipients []string
	readers    []string // as they read
	readSet    map[string]bool
	receiptAt  time.Time
}

func (m *message) readBy(user string) bool { return m.readSet[user] }

func (m *message) markRead(user string) {
	if m.readSet == nil {
		m.readSet = make(map[string]bool)
	}
	m.readSet[user] = true
	m.readers = append(m.readers, user)
}

// addAccount makes an account if it does not exist. The lock must be held (or nobody else about).
func (s *Server) addAccount(id string) *account {
	a, ok := s.accounts[id]
	if !ok {
		a = &account{
			id:      id,
			tiny:    144115000000000000 + uint64(len(s.accounts)+1)*104729,
			profile: make(map[string]json.RawMessage),
		}
		s.accounts[id] = a
	}
	return a
}

// liveGroup finds a group: 10015 for what is no group id, 10010 for what never was or is dismissed.
func (s *Server) liveGroup(id string) (*group, *receipts.Error) {
	if !validGroupID(id) {
		return nil, refuse(receipts.CodeGroupInvalidGroupID, "malformed GroupId %q", id)
	}
	g, ok := s.groups[id]
	if !ok {
		return nil, refuse(receipts.CodeGroupNotFound, "no group %q", id)
	}
	return g, nil
}

// validGroupID: printable ASCII, at most 48 bytes (contract section 5).
func validGroupID(id string) bool {
	return id != "" && len(id) <= 48 && strings.IndexFunc(id, func(r rune) bool { return r < 0x20 || r > 0x7e }) < 0
}

// validUserID: at most 32 bytes of a-z A-Z 0-9 - _ (contract section 5).
func validUserID(id string) bool {
	return id != "" && len(id) <= 32 && strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) < 0
}

// plainType gives the old names of group types their new ones.
func plainType(typ string) string {
	switch typ {
	case "Private":
		return "Work"
	case "ChatRoom":
		return "Meeting"
	}
	return typ
}

func knownType(typ string) bool {
	return slices.Contains([]string{"Work", "Public", "Meeting", "Community", "AVChatRoom"}, plainType(typ))
}

// sorted returns the members in order of joining.
func (g *group) sorted() []*member {
	all := make([]*member, 0, len(g.members))
	for _, m := range g.members {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *member) int { return a.no - b.no })
	return all
}

func (g *group) names() []string {
	var names []string
	for _, m := range g.sorted() {
		names = append(names, m.account)
	}
	return names
}

// message finds a message by its number, also one that is gone.
func (g *group) message(seq uint64) *message {
	if seq == 0 || seq > uint64(len(g.messages)) {
		return nil
	}
	return g.messages[seq-1]
}

// take gives a message the next number of the group.
func (g *group) take(m *message) {
	g.messages = append(g.messages, m)
	m.seq = uint64(len(g.messages))
}

// counts are who has read a message and who has not. The lock must be held.
func (s *Server) counts(g *group, m *message) (read, unread []string) {
	for _, user := range m.readers {
		if user != m.from || s.opts.OwnAckCounts {
			read = append(read, user)
		}
	}
	those := m.recipients
	if s.opts.UnreadFollows {
		those = g.names()
	}
	for _, user := range those {
		if user != m.from && !m.readBy(user) {
			unread = append(unread, user)
		}
	}
	return read, unread
}

// expired: the message has left the history.
func (s *Server) expired(m *message) bool {
	return s.now().Sub(m.at) > s.opts.Edition.history()
}

// refuse is an error with one of Tencent's codes.
func refuse(code receipts.Code, format string, args ...any) *receipts.Error {
	return receipts.NewError(code, fmt.Sprintf(format, args...))
}
