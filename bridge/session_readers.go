package bridge

import (
	"context"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// loadReaders reads the rows and memberships of many readers of a group at once.
func (s *session) loadReaders(ctx context.Context, group mapping.GroupKey, users []mapping.UserKey) error {
	if err := s.loadRows(ctx, group, users); err != nil {
		return err
	}
	var members []mapping.UserKey
	for _, u := range users {
		if _, ok := s.memberships[reader{group, u}]; !ok {
			members = append(members, u)
		}
	}
	if len(members) > 0 {
		if err := s.loadUsers(ctx, members); err != nil {
			return err
		}
		found, err := s.b.maps.MembershipOfKnown(ctx, group, members, s.users)
		if err != nil {
			return err
		}
		for _, u := range members {
			s.memberships[reader{group, u}] = found[u]
		}
	}
	return nil
}

// loadRows reads the rows alone.
func (s *session) loadRows(ctx context.Context, group mapping.GroupKey, users []mapping.UserKey) error {
	var rows []mapping.UserKey
	for _, u := range users {
		if _, ok := s.rows[reader{group, u}]; !ok {
			rows = append(rows, u)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	found, err := s.b.reads.Readers(ctx, group, rows)
	if err != nil {
		return err
	}
	for _, u := range rows {
		row := found[u]
		row.Group, row.User = group, u
		s.keep(ctx, row)
	}
	return nil
}

// keep has later looks at a row that was read find it.
func (s *session) keep(ctx context.Context, row receiptsdb.Row) {
	if row.Damage != nil {
		s.b.damages.tell(ctx, row.Damage, s.now)
	}
	s.rows[reader{row.Group, row.User}] = &row
}

func (s *session) reader(ctx context.Context, group mapping.GroupKey, user mapping.UserKey) (*receiptsdb.Row, receipts.Membership, error) {
	if err := s.loadReaders(ctx, group, []mapping.UserKey{user}); err != nil {
		return nil, nil, err
	}
	key := reader{group, user}
	return s.rows[key], s.memberships[key], nil
}

// readersOf lists all who have a row in a group, those who have it since this very commit among them. It knows who they are (users) and
// has their rows.
func (s *session) readersOf(ctx context.Context, group mapping.GroupKey) ([]mapping.UserKey, error) {
	rows, err := s.b.reads.AllReaders(ctx, group)
	if err != nil {
		return nil, err
	}
	keys := make([]mapping.UserKey, len(rows), len(rows)+len(s.dirty))
	stored := make(map[mapping.UserKey]bool, len(rows))
	for i, row := range rows {
		keys[i] = row.User
		stored[row.User] = true
		if _, known := s.rows[reader{group, row.User}]; !known { // what this commit has changed of it stays
			s.keep(ctx, row)
		}
	}
	for key := range s.dirty {
		if key.group == group && !stored[key.user] {
			keys = append(keys, key.user)
		}
	}
	return keys, s.loadUsers(ctx, keys)
}
