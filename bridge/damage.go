package bridge

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
	"github.com/timbridge/timbridge/receipts/receiptsdb"
)

// This file is what happens to a reader whose stored row cannot be read: a bad disk, or somebody's own SQL. The row stops, and
// nothing but the row:
//
//   - It is not written over; what is left of it may be wanted. Until somebody mends or deletes it, no marker and no
//     acknowledgement goes out for it, and in counts its reader has read nothing.
//   - Apps hear an error for that reader in that group, so that nothing counts as taken.
//   - A Matrix receipt is taken, since the homeserver's queue must go on, and parked: once an hour it is tried again, for
//     receipts.park_for.
//   - What Tencent tells of that reader is left out. Tencent has it still, and the catch-up asks again while numbers differ.
//   - Linking and unlinking the user is refused, as two rows would be made one.

// damageRepeat is how often the same damaged row is reported.
const damageRepeat = time.Hour

// damageLog reports damaged rows, each once in a while however often it is met. It is safe for concurrent use.
type damageLog struct {
	mu   sync.Mutex
	told map[reader]time.Time // grows with the number of damaged rows
}

// tell logs a damaged row, unless it has done so lately.
func (d *damageLog) tell(ctx context.Context, damage *receiptsdb.RowError, now time.Time) {
	key := reader{damage.Group, damage.User}
	d.mu.Lock()
	defer d.mu.Unlock()
	if last, ok := d.told[key]; ok && now.Sub(last) < damageRepeat {
		return
	}
	if d.told == nil {
		d.told = make(map[reader]time.Time)
	}
	d.told[key] = now
	zerolog.Ctx(ctx).Error().AnErr("cause", damage.Err).Int64("group_key", int64(damage.Group)).Int64("user_key", int64(damage.User)).
		Msg("A reader's stored row is damaged; it is left alone, see `timbridge check --deep`")
}

// errDamaged is what callers hear of a damaged row.
func errDamaged() error {
	return receipts.NewError(receipts.CodeGroupInternalError, "what this user has read in the group is damaged on the disk; the operator has to look")
}

// soundReader is reader for changes that cannot be made without the row: a damaged one is an error.
func (s *session) soundReader(ctx context.Context, group mapping.GroupKey, user mapping.UserKey) (*receiptsdb.Row, receipts.Membership, error) {
	row, membership, err := s.reader(ctx, group, user)
	if err == nil && row.Damage != nil {
		err = errDamaged()
	}
	return row, membership, err
}

// soundRow is soundReader for changes that do not ask since when he is a member.
func (s *session) soundRow(ctx context.Context, group mapping.GroupKey, user mapping.UserKey) (*receiptsdb.Row, error) {
	if err := s.loadRows(ctx, group, []mapping.UserKey{user}); err != nil {
		return nil, err
	}
	row := s.rows[reader{group, user}]
	if row.Damage != nil {
		return nil, errDamaged()
	}
	return row, nil
}

// parkDamaged keeps a Matrix receipt of a reader whose row is damaged. Of a ghost's there is nothing to keep: it says nothing of the reader.
func (s *session) parkDamaged(ctx context.Context, l located) error {
	if l.user.Kind == receipts.KindGhost {
		return nil
	}
	s.held++
	if l.receipt.EventID == "" {
		return nil // it is parked already
	}
	return s.park(ctx, l.receipt)
}

// retryParked takes parked receipts whose event is known: their readers' rows were damaged when they came. Those of rows that still are
// stay parked, with the age that they have.
func (b *Bridge) retryParked(ctx context.Context, parked []receiptsdb.Parked) error {
	return b.commits.do(ctx, func(ctx context.Context, s *session) error {
		for _, p := range parked {
			before := s.held
			if err := s.receipts(ctx, []matrix.Receipt{unpark(p)}); err != nil {
				return err
			}
			if s.held > before {
				continue
			}
			if err := b.reads.Unpark(ctx, p); err != nil {
				return fmt.Errorf("failed to take parked receipt: %w", err)
			}
		}
		return nil
	})
}
