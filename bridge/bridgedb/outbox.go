package bridgedb

import (
	"context"
	"fmt"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// Outgoing is a message or redaction that Matrix does not have yet.
type Outgoing struct {
	TxnID    string // the Matrix transaction id: the same for every attempt, so that a repeat is no second event
	Group    receipts.GroupKey
	User     receipts.UserKey // the sender
	Seq      receipts.MsgSeq
	RoomID   id.RoomID
	Redacts  id.EventID // set for a redaction
	Content  string     // JSON of a new message
	SentAt   time.Time
	Due      time.Time
	Attempts int
}

const outgoingColumns = "txn_id, group_key, user_key, seq, room_id, redacts, content, sent_at, due, attempts"

func scanOutgoing(row dbutil.Scannable) (o Outgoing, err error) {
	var sentAt, due int64
	err = row.Scan(&o.TxnID, &o.Group, &o.User, &o.Seq, &o.RoomID, &o.Redacts, &o.Content, &sentAt, &due, &o.Attempts)
	o.SentAt, o.Due = time.UnixMilli(sentAt), time.UnixMilli(due)
	return o, err
}

// PutOutgoing adds o, or does nothing if its transaction id is there.
func (s *Store) PutOutgoing(ctx context.Context, o Outgoing) error {
	_, err := s.db.Exec(ctx, "INSERT INTO tim_outbox ("+outgoingColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (txn_id) DO NOTHING",
		o.TxnID, o.Group, o.User, o.Seq, o.RoomID, o.Redacts, o.Content, o.SentAt.UnixMilli(), o.Due.UnixMilli(), o.Attempts)
	if err != nil {
		return fmt.Errorf("failed to insert outgoing message: %w", err)
	}
	return nil
}

// firstOfSender picks what may be sent: of each sender in each group the oldest message, since his messages keep their order, and any
// redaction, which keeps no message waiting. Messages without a room wait until their group has one again.
const firstOfSender = `(o.redacts <> '' OR o.room_id <> '' AND NOT EXISTS (
	SELECT 1 FROM tim_outbox earlier
	WHERE earlier.group_key = o.group_key AND earlier.user_key = o.user_key AND earlier.seq < o.seq AND earlier.redacts = ''
))`

// DueOutgoing lists what is due by now, of each sender in each group only the oldest.
func (s *Store) DueOutgoing(ctx context.Context, now time.Time, limit int) ([]Outgoing, error) {
	list, err := dbutil.ConvertRowFn[Outgoing](scanOutgoing).NewRowIter(s.db.Query(ctx, `
		SELECT `+outgoingColumns+` FROM tim_outbox o
		WHERE due <= $1 AND `+firstOfSender+`
		ORDER BY due, seq LIMIT $2`, now.UnixMilli(), limit)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list outgoing messages: %w", err)
	}
	return list, nil
}

// DelayOutgoing plans the next attempt.
func (s *Store) DelayOutgoing(ctx context.Context, txnID string, due time.Time, attempts int) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_outbox SET due=$2, attempts=$3 WHERE txn_id=$1", txnID, due.UnixMilli(), attempts)
	if err != nil {
		return fmt.Errorf("failed to delay outgoing message: %w", err)
	}
	return nil
}

// DropOutgoing removes what has been sent.
func (s *Store) DropOutgoing(ctx context.Context, txnID string) error {
	_, err := s.db.Exec(ctx, "DELETE FROM tim_outbox WHERE txn_id=$1", txnID)
	if err != nil {
		return fmt.Errorf("failed to delete outgoing message: %w", err)
	}
	return nil
}

// DropMessage removes a message that has come back from the homeserver.
func (s *Store) DropMessage(ctx context.Context, group receipts.GroupKey, seq receipts.MsgSeq) error {
	_, err := s.db.Exec(ctx, "DELETE FROM tim_outbox WHERE group_key=$1 AND seq=$2 AND redacts=''", group, seq)
	if err != nil {
		return fmt.Errorf("failed to delete outgoing message: %w", err)
	}
	return nil
}

// MoveOutgoing sends a group's waiting messages to another room: the group has moved. With an empty room they are held back: it has
// none for now.
func (s *Store) MoveOutgoing(ctx context.Context, group receipts.GroupKey, room id.RoomID) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_outbox SET room_id=$2 WHERE group_key=$1 AND redacts=''", group, room)
	if err != nil {
		return fmt.Errorf("failed to move outgoing messages: %w", err)
	}
	return nil
}
