package mappingdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// seqPart is a piece of a set that one statement can ask for: a list, or a range.
type seqPart struct {
	list []receipts.MsgSeq
	receipts.Range
}

func (p seqPart) where(s *Store, column string, a *args) string {
	if p.list != nil {
		return in(s, a, column, p.list)
	}
	return column + ` BETWEEN ` + a.add(p.First) + ` AND ` + a.add(p.Last)
}

// listedRange is the longest range that is written out as a list, together with
// others; a longer one is worth a statement of its own.
const listedRange = 16

// seqParts cuts a set into pieces, in rising order.
func seqParts(seqs receipts.Set) iter.Seq[seqPart] {
	return func(yield func(seqPart) bool) {
		var short []receipts.MsgSeq
		flush := func() bool {
			part := seqPart{list: short}
			short = nil
			return part.list == nil || yield(part)
		}
		for _, r := range seqs.Ranges() {
			r.Last = min(r.Last, maxSeq)
			if r.First > r.Last {
				break
			}
			if r.Last-r.First >= listedRange {
				if !flush() || !yield(seqPart{Range: r}) {
					return
				}
				continue
			}
			for seq := r.First; seq <= r.Last; seq++ {
				short = append(short, seq)
			}
			if len(short) > maxIn-listedRange && !flush() {
				return
			}
		}
		flush()
	}
}

// SetWants says whether messages were sent with needReadReceipt. It returns those
// of them that are known and for which that is news. As with PutMessages, a yes is
// never taken back. Messages that are not known yet are left out; use PutMessages
// for them.
func (s *Store) SetWants(ctx context.Context, group mapping.GroupKey, seqs receipts.Set, wants receipts.Wants) (news receipts.Set, err error) {
	var set string
	switch wants {
	case receipts.WantsYes:
		set = fmt.Sprintf(`flags = flags - (flags & %[1]d) + %[2]d WHERE (flags & %[1]d) <> %[2]d`, flagWants, receipts.WantsYes)
	case receipts.WantsNo:
		set = fmt.Sprintf(`flags = flags + %[2]d WHERE (flags & %[1]d) = 0`, flagWants, receipts.WantsNo)
	default:
		return receipts.Set{}, nil // nothing is said
	}
	var changed []receipts.MsgSeq
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		for part := range seqParts(seqs) {
			a := args{group}
			rows, err := s.db.Query(ctx, `UPDATE tim_message SET `+set+` AND group_key = $1 AND `+part.where(s, "seq", &a)+` RETURNING seq`, a...)
			err = each(rows, err, func(row dbutil.Scannable) error {
				var seq receipts.MsgSeq
				err := row.Scan(&seq)
				changed = append(changed, seq)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return receipts.Set{}, fmt.Errorf("failed to set wants of messages: %w", err)
	}
	return receipts.SetOf(changed...), nil
}

// SetRecalled says that the message that an event is has been taken back. It
// returns the message as it is now and whether that was news; mapping.ErrNotFound
// if the event is no message.
func (s *Store) SetRecalled(ctx context.Context, eventID id.EventID) (m mapping.Message, changed bool, err error) {
	err = s.db.DoTxn(ctx, nil, func(ctx context.Context) error {
		var seq receipts.MsgSeq
		err := s.db.QueryRow(ctx, fmt.Sprintf(`UPDATE tim_message SET flags = flags + %[1]d WHERE event_id = $1 AND (flags & %[1]d) = 0 RETURNING seq`, flagRecalled),
			packEvent(eventID.String())).Scan(&seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("failed to set message recalled: %w", err)
		}
		changed = err == nil
		found, err := s.MessagesByEvent(ctx, []id.EventID{eventID})
		if err != nil {
			return err
		}
		var ok bool
		if m, ok = found[eventID]; !ok {
			return fmt.Errorf("message %w", mapping.ErrNotFound)
		}
		return nil
	})
	return m, changed, err
}
