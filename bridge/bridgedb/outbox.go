package bridgedb

import (
	"context"
	"database/sql"
	"errors"
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
	// SentAs is the MXID that the sender had when he was linked or unlinked, while this was waiting: it may have been sent in that name.
	SentAs id.UserID
}

const outgoingColumns = "txn_id, group_key, user_key, seq, room_id, redacts, content, sent_at, due, attempts, sent_as"

func scanOutgoing(row dbutil.Scannable) (o Outgoing, err error) {
	var sentAt, due int64
	err = row.Scan(&o.TxnID, &o.Group, &o.User, &o.Seq, &o.RoomID, &o.Redacts, &o.Content, &sentAt, &due, &o.Attempts, &o.SentAs)
	o.SentAt, o.Due = time.UnixMilli(sentAt), time.UnixMilli(due)
	return o, err
}

// PutOutgoing adds o, or does nothing if its transaction id is there.
func (s *Store) PutOutgoing(ctx context.Context, o Outgoing) error {
	_, err := s.db.Exec(ctx, "INSERT INTO tim_outbox ("+outgoingColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (txn_id) DO NOTHING",
		o.TxnID, o.Group, o.User, o.Seq, o.RoomID, o.Redacts, o.Content, o.SentAt.UnixMilli(), o.Due.UnixMilli(), o.Attempts, o.SentAs)
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

// NameOutgoing keeps the MXID that a sender has had until now with his waiting messages: each may have been sent in that name, and under
// another the homeserver would not know the repeat. The first such name stays.
func (s *Store) NameOutgoing(ctx context.Context, user receipts.UserKey, mxid id.UserID) error {
	_, err := s.db.Exec(ctx, "UPDATE tim_outbox SET sent_as=$2 WHERE user_key=$1 AND redacts='' AND sent_as=''", user, mxid)
	if err != nil {
		return fmt.Errorf("failed to keep the name of outgoing messages: %w", err)
	}
	return nil
}

// OutgoingName returns the name kept with a waiting message; "" if there is none, or no such message.
func (s *Store) OutgoingName(ctx context.Context, txnID string) (mxid id.UserID, err error) {
	err = s.db.QueryRow(ctx, "SELECT sent_as FROM tim_outbox WHERE txn_id=$1", txnID).Scan(&mxid)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	} else if err != nil {
		return "", fmt.Errorf("failed to find the name of an outgoing message: %w", err)
	}
	return mxid, nil
}
