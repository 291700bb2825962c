package tencenttest

import (
	"encoding/json"
	"slices"

	"github.com/timbridge/timbridge/receipts"
)

// GroupSpec is a group to be made.
type GroupSpec struct {
	// ID is chosen as Tencent does (@TGS#…) if empty.
	ID string
	// Type is Public if empty, Name the ID.
	Type, Name, Introduction, Notification, FaceURL string
	// Owner and Members get accounts if they have none.
	Owner      string
	Members    []string
	MaxMembers int
}

// CreateGroup makes a group as its owner would in the app, and returns its id. Errors are
// [*receipts.Error].
func (s *Server) CreateGroup(spec GroupSpec) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	if spec.Type == "" {
		spec.Type = "Public"
	}
	if spec.Name == "" {
		spec.Name = "group " + spec.ID
	}
	for _, user := range append(slices.Clone(spec.Members), spec.Owner) {
		if user != "" {
			s.addAccount(user)
		}
	}
	g, refused := s.createGroup(spec)
	if refused != nil {
		return "", refused
	}
	s.emitCreated(g, spec.Owner, "Android")
	return g.id, nil
}

// DestroyGroup dismisses a group, as its owner.
func (s *Server) DestroyGroup(groupID string) error {
	return s.withGroup(groupID, func(g *group) { s.destroy(g, "Android") })
}

// SetGroupName renames a group, as its owner.
func (s *Server) SetGroupName(groupID, name string) error {
	return s.withGroup(groupID, func(g *group) {
		s.changeInfo(g, map[string]*string{"Name": &name}, g.owner, "Android")
	})
}

// Forget takes messages out of the history as if they had expired or been deleted.
func (s *Server) Forget(groupID string, seqs ...uint64) error {
	return s.withGroup(groupID, func(g *group) {
		for _, seq := range seqs {
			if m := g.message(seq); m != nil {
				m.gone = true
			}
		}
	})
}

func (s *Server) withGroup(groupID string, do func(*group)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	g, refused := s.liveGroup(groupID)
	if refused != nil {
		return refused
	}
	do(g)
	return nil
}

// view reads a group; what is not there reads as nothing.
func (s *Server) view(groupID string, look func(*group)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.groups[groupID]; g != nil {
		look(g)
	}
}

// Counts are ReadNum and UnreadNum of a message; zeros for one without receipts.
func (s *Server) Counts(groupID string, seq uint64) (read, unread int) {
	return len(s.ReadBy(groupID, seq)), len(s.UnreadBy(groupID, seq))
}

// ReadBy is who has read a message, in the order of reading.
func (s *Server) ReadBy(groupID string, seq uint64) (users []string) {
	s.view(groupID, func(g *group) {
		if m := g.message(seq); m != nil && m.receipt {
			users, _ = s.counts(g, m)
		}
	})
	return users
}

// UnreadBy is who has not, in the order of joining.
func (s *Server) UnreadBy(groupID string, seq uint64) (users []string) {
	s.view(groupID, func(g *group) {
		if m := g.message(seq); m != nil && m.receipt {
			_, users = s.counts(g, m)
		}
	})
	return users
}

// HasRead tells whether somebody has read all these messages.
func (s *Server) HasRead(groupID, user string, seqs ...uint64) bool {
	all := len(seqs) > 0
	found := false
	s.view(groupID, func(g *group) {
		found = true
		for _, seq := range seqs {
			m := g.message(seq)
			all = all && m != nil && m.readBy(user)
		}
	})
	return found && all
}

// Messages returns the messages of a group: those with numbers in their order, then the others.
// Numbers without a message are left out.
func (s *Server) Messages(groupID string) (list []Message) {
	s.view(groupID, func(g *group) {
		for _, m := range slices.Concat(g.messages, g.apart) {
			if !m.gone {
				list = append(list, g.export(m))
			}
		}
	})
	return list
}

// Message returns the message with a number of a group.
func (s *Server) Message(groupID string, seq uint64) (found Message, ok bool) {
	s.view(groupID, func(g *group) {
		if m := g.message(seq); m != nil && !m.gone {
			found, ok = g.export(m), true
		}
	})
	return found, ok
}

// LastSeq is the highest number of a group.
func (s *Server) LastSeq(groupID string) (seq uint64) {
	s.view(groupID, func(g *group) { seq = uint64(len(g.messages)) })
	return seq
}

// Members are the members of a group in the order of joining.
func (s *Server) Members(groupID string) (users []string) {
	s.view(groupID, func(g *group) { users = g.names() })
	return users
}

// Groups are the groups in the order of their making.
func (s *Server) Groups() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.order)
}

// Profile returns nick and avatar of an account, and whether there is one.
func (s *Server) Profile(user string) (nick, faceURL string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.accounts[user]
	if !ok {
		return "", "", false
	}
	_ = json.Unmarshal(a.profile[tagNick], &nick) // absent is empty
	_ = json.Unmarshal(a.profile[tagImage], &faceURL)
	return nick, faceURL, true
}

// Codes counts the answers to a command ("" for all) by their code.
func (s *Server) Codes(command string) map[receipts.Code]int {
	counts := make(map[receipts.Code]int)
	for _, c := range s.CallLog(command) {
		counts[c.Code]++
	}
	return counts
}
