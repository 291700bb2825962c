package mappingdb

import (
	"context"
	"fmt"

	"github.com/timbridge/timbridge/mapping"
)

// ForgetPlaces forgets where in the room the members of a group joined and left, because the group is leaving the room: places say
// nothing in another one. Stays that go on begin at the floor of the next room, stays that have ended hold no place any more. By seq
// nothing changes.
func (s *Store) ForgetPlaces(ctx context.Context, group mapping.GroupKey) error {
	_, err := s.db.Exec(ctx, `UPDATE tim_member SET joined_pos = NULL, left_pos = CASE WHEN left_seq IS NULL THEN NULL ELSE 0 END WHERE group_key = $1`, group)
	if err != nil {
		return fmt.Errorf("failed to forget places of members: %w", err)
	}
	return nil
}
