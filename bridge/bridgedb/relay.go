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

// RelayKind is what has to be done at Tencent.
type RelayKind string

const (
	// RelaySend: a message is sent.
	RelaySend RelayKind = "send"
	// RelayEdit: the message that Target is gets another body.
	RelayEdit RelayKind = "edit"
	// RelayRecall: the message that Target is is recalled.
	RelayRecall RelayKind = "recall"
)

// Relay is a message, an edit or a recall that Tencent does not have yet.
type Relay struct {
	EventID id.EventID // what happened in the room
	Group   receipts.GroupKey
	User    receipts.UserKey // who did it; of a recall, whose message it is
	Pos     receipts.Pos     // when
	Kind    RelayKind
	Target  id.EventID // of an edit or a recall
	Type    string     // of the event, as Content
	Content string
	Parts   string // what it became for Tencent, JSON; "" as long as it has not been translated
	Part    int    // the part that is next, from 0
	Random  uint32 // its MsgRandom
	Tried   bool   // Tencent may have this part already
	At, Due time.Time
	// Attempts is how often it has failed in a row.
	Attempts int
	// SentAs is the account as which this part was tried. Its sender may have been linked or unlinked since.
	SentAs string
}

const relayColumns = "event_id, group_key, user_key, pos, kind, target, type, content, parts, part, random, tried, at, due, attempts, sent_as"

func scanRelay(row dbutil.Scannable) (r Relay, err error) {
	var at, due int64
	err = row.Scan(&r.EventID, &r.Group, &r.User, &r.Pos, &r.Kind, &r.Target, &r.Type, &r.Content, &r.Parts, &r.Part, &r.Random, &r.Tried, &at, &due, &r.Attempts, &r.SentAs)
	r.At, r.Due = time.UnixMilli(at), time.UnixMilli(due)
	return r, err
}

// PutRelay adds r, or does nothing if the event is there.
func (s *Store) PutRelay(ctx context.Context, r Relay) error {
	return s.updateRelay(ctx, "INSERT INTO tim_relay ("+relayColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT (event_id) DO NOTHING",
		r.EventID, r.Group, r.User, r.Pos, r.Kind, r.Target, r.Type, r.Content, r.Parts, r.Part, r.Random, r.Tried, r.At.UnixMilli(), r.Due.UnixMilli(), r.Attempts, r.SentAs)
}

// nextOfSender picks the oldest of each sender in each group: what he says keeps its order.
const nextOfSender = `NOT EXISTS (
	SELECT 1 FROM tim_relay earlier
	WHERE earlier.group_key = r.group_key AND earlier.user_key = r.user_key AND earlier.pos < r.pos
)`

// DueRelays lists what is due by now, of each sender in each group only the oldest.
func (s *Store) DueRelays(ctx context.Context, now time.Time, limit int) ([]Relay, error) {
	list, err := dbutil.ConvertRowFn[Relay](scanRelay).NewRowIter(s.db.Query(ctx,
		"SELECT "+relayColumns+" FROM tim_relay r WHERE due <= $1 AND "+nextOfSender+" ORDER BY due, pos LIMIT $2", now.UnixMilli(), limit)).AsList()
	if err != nil {
		return nil, fmt.Errorf("failed to list messages for Tencent: %w", err)
	}
	return list, nil
}

// NextRelay is when the next one is due; ok is false when there is none.
func (s *Store) NextRelay(ctx context.Context) (next time.Time, ok bool, err error) {
	return s.nextDue(ctx, "SELECT MIN(due) FROM tim_relay r WHERE "+nextOfSender)
}

// RelayByRandom finds the message that is under way in a group under this MsgRandom.
func (s *Store) RelayByRandom(ctx context.Context, group receipts.GroupKey, random uint32) (Relay, bool, error) {
	return s.relay(ctx, "group_key=$1 AND random=$2 AND tried AND kind=$3", group, random, RelaySend)
}

// RelayOf finds what an event has under way.
func (s *Store) RelayOf(ctx context.Context, event id.EventID) (Relay, bool, error) {
	return s.relay(ctx, "event_id=$1", event)
}

func (s *Store) relay(ctx context.Context, where string, args ...any) (Relay, bool, error) {
	r, err := scanRelay(s.db.QueryRow(ctx, "SELECT "+relayColumns+" FROM tim_relay WHERE "+where+" ORDER BY pos LIMIT 1", args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Relay{}, false, nil
	} else if err != nil {
		return Relay{}, false, fmt.Errorf("failed to find message for Tencent: %w", err)
	}
	return r, true, nil
}

// SaveRelay writes what changes of r while it is under way: its parts and which is next, and when it is tried again. One that has been
// dropped stays so.
func (s *Store) SaveRelay(ctx context.Context, r Relay) error {
	return s.updateRelay(ctx, "UPDATE tim_relay SET parts=$2, part=$3, random=$4, tried=$5, due=$6, attempts=$7, sent_as=$8 WHERE event_id=$1",
		r.EventID, r.Parts, r.Part, r.Random, r.Tried, r.Due.UnixMilli(), r.Attempts, r.SentAs)
}

// DropRelay removes what Tencent has, or will never have.
func (s *Store) DropRelay(ctx context.Context, event id.EventID) error {
	return s.updateRelay(ctx, "DELETE FROM tim_relay WHERE event_id=$1", event)
}

func (s *Store) updateRelay(ctx context.Context, query string, args ...any) error {
	if _, err := s.db.Exec(ctx, query, args...); err != nil {
		return fmt.Errorf("failed to write message for Tencent: %w", err)
	}
	return nil
}
