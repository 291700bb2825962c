package bridgedb

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// RoomTask says that a user's place in a room has to be looked at: should he be in it, and is he?
type RoomTask struct {
	RoomID   id.RoomID
	User     receipts.UserKey
	Due      time.Time
	Attempts int
}

func scanRoomTask(row dbutil.Scannable) (t RoomTask, err error) {
	var due int64
	err = row.Scan(&t.RoomID, &t.User, &due, &t.Attempts)
	t.Due = time.UnixMilli(due)
	return t, err
}

// PutRoomTask asks for a look at the user's place in the room, at t.Due at the latest. Where one is asked for already the new due time
// is another in any case, if only by a millisecond: by it is seen that a look under way began before this asking.
func (s *Store) PutRoomTask(ctx context.Context, t RoomTask) error {
	_, err := s.db.Exec(ctx, `INSERT INTO tim_room_task (room_id, user_key, due, attempts) VALUES ($1, $2, $3, $4)
		ON CONFLICT (room_id, user_key) DO UPDATE SET attempts=excluded.attempts,
		due=CASE WHEN tim_room_task.due >= excluded.due THEN excluded.due+1 ELSE excluded.due END`, t.RoomID, t.User, t.Due.UnixMilli(), t.Attempts)
	if err != nil {
		return fmt.Errorf("failed to write room task: %w", err)
	}
	return nil
}

// DueRoomTasks lists the tasks due by now, oldest first.
func (s *Store) DueRoomTasks(ctx context.Context, now time.Time, limit int) ([]RoomTask, error) {
	list, err := dbutil.ConvertRowFn[RoomTask](scanRoomTask).NewRowIter(s.db.Query(ctx,
		"SELECT room_id, user_key, due, attempts FROM tim_room_task WHERE due <= $1 ORDER BY due LIMIT $2", now.UnixMilli(), limit)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list room tasks: %w", err)
	}
	return list, nil
}

// DropRoomTask removes the task unless it was asked for again since: its due time must still be the one given.
func (s *Store) DropRoomTask(ctx context.Context, t RoomTask) error {
	_, err := s.db.Exec(ctx, "DELETE FROM tim_room_task WHERE room_id=$1 AND user_key=$2 AND due=$3", t.RoomID, t.User, t.Due.UnixMilli())
	if err != nil {
		return fmt.Errorf("failed to delete room task: %w", err)
	}
	return nil
}

// NextRoomTask is when the next task is due; ok is false when there is none.
func (s *Store) NextRoomTask(ctx context.Context) (next time.Time, ok bool, err error) {
	return s.nextDue(ctx, "SELECT MIN(due) FROM tim_room_task")
}

// NextOutgoing is when the next message or redaction is due; ok is false when there is none.
func (s *Store) NextOutgoing(ctx context.Context) (next time.Time, ok bool, err error) {
	return s.nextDue(ctx, "SELECT MIN(due) FROM tim_outbox o WHERE "+firstOfSender)
}

func (s *Store) nextDue(ctx context.Context, query string) (next time.Time, ok bool, err error) {
	var due *int64
	if err = s.db.QueryRow(ctx, query).Scan(&due); err != nil {
		return time.Time{}, false, fmt.Errorf("failed to find what is due next: %w", err)
	} else if due == nil {
		return time.Time{}, false, nil
	}
	return time.UnixMilli(*due), true, nil
}

// Pending counts what is on its way: messages to either side, and what has to be done about members.
func (s *Store) Pending(ctx context.Context) (messages, members int, err error) {
	err = s.db.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM tim_outbox) + (SELECT COUNT(*) FROM tim_relay),
		(SELECT COUNT(*) FROM tim_room_task) + (SELECT COUNT(*) FROM tim_join WHERE due IS NOT NULL)`).Scan(&messages, &members)
	if err != nil {
		return 0, 0, fmt.Errorf("failed to count pending work: %w", err)
	}
	return messages, members, nil
}

// DelayRoomTask plans the next attempt, unless the task was asked for again since.
func (s *Store) DelayRoomTask(ctx context.Context, t RoomTask, due time.Time, attempts int) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_room_task SET due=$4, attempts=$5 WHERE room_id=$1 AND user_key=$2 AND due=$3",
		t.RoomID, t.User, t.Due.UnixMilli(), due.UnixMilli(), attempts)
	if err != nil {
		return fmt.Errorf("failed to delay room task: %w", err)
	}
	return nil
}

// ReleaseRoomTasks makes what waits for a room due now: what stood in its way may be gone.
func (s *Store) ReleaseRoomTasks(ctx context.Context, room id.RoomID, now time.Time) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_room_task SET due=$2 WHERE room_id=$1 AND due > $2", room, now.UnixMilli())
	if err != nil {
		return fmt.Errorf("failed to release room tasks: %w", err)
	}
	return nil
}
