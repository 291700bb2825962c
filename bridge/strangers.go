package bridge

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/mapping"
)

// This file bounds what a server of the federation can make us keep. A server with one user in a room may send receipts there in the
// name of as many users as it likes to invent: homeservers look whose server it is, not whether he is in the room. What such users
// read counts for nothing, because they are no members; but each would have a row, with up to receiptsdb.MaxParked parked receipts, for ever.
//
// Who is in the room is known from its list of members, so that a receipt is nearly never the first that is heard of somebody: his
// join may be on its way still. So many of them are taken in; the receipts of the others are passed over until they have joined.
const (
	strangersAtOnce = 1000
	strangersEvery  = 10 * time.Second
)

// strangers are the buckets of the rooms. The committer's goroutine owns them.
type strangers struct {
	rooms   map[mapping.GroupKey]*rate.Limiter
	refused rate.Sometimes
}

func newStrangers() *strangers {
	return &strangers{rooms: make(map[mapping.GroupKey]*rate.Limiter), refused: rate.Sometimes{Interval: time.Minute}}
}

// take lets one more stranger of a group's room in, or not.
func (s *strangers) take(group mapping.GroupKey, now time.Time) bool {
	bucket, ok := s.rooms[group]
	if !ok {
		bucket = rate.NewLimiter(rate.Every(strangersEvery), strangersAtOnce)
		s.rooms[group] = bucket
	}
	return bucket.AllowN(now, 1)
}

// acquainted returns the receipts of users who are known already, or may become it.
func (s *session) acquainted(ctx context.Context, rs []matrix.Receipt) ([]matrix.Receipt, error) {
	mxids := make([]id.UserID, len(rs))
	for i, r := range rs {
		mxids[i] = r.UserID
	}
	known, err := s.b.maps.UsersByMXID(ctx, mxids)
	if err != nil {
		return nil, err
	}
	admitted := make(map[id.UserID]bool)
	list := rs[:0:0]
	for _, r := range rs {
		if _, ok := known[r.UserID]; !ok && !admitted[r.UserID] {
			g, err := s.groupOfRoom(ctx, r.RoomID)
			if err != nil {
				return nil, err
			} else if g == nil {
				continue // of a room that is no group's
			}
			if !s.b.strange.take(g.Key, s.now) {
				s.b.strange.refused.Do(func() {
					zerolog.Ctx(ctx).Warn().Stringer("room_id", r.RoomID).Stringer("user_id", r.UserID).
						Msg("Passing over receipts of users who have not joined: too many of them")
				})
				continue
			}
			admitted[r.UserID] = true
		}
		list = append(list, r)
	}
	return list, nil
}
