package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// This file brings Matrix users' accounts into Tencent groups, and people out of them.

// inTencentGroup tells whether a user is a member of the Tencent group, so that it takes his receipts. A Matrix user who is not is
// brought in, if the configuration wants that.
func (s *session) inTencentGroup(ctx context.Context, g *mapping.Group, u mapping.User) (bool, error) {
	if u.Kind != receipts.KindAccount {
		return true, nil // by Tencent's own word
	}
	j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
	if err != nil || j.Joined {
		return j.Joined, err
	}
	return false, s.wantJoin(ctx, g, u)
}

// wantJoin has a Matrix user's account brought into the Tencent group, if the configuration wants that and it is of use there: nobody has
// to be a member to write. Who has been linked since is there as the Tencent user who he is.
func (s *session) wantJoin(ctx context.Context, g *mapping.Group, u mapping.User) error {
	if s.b.cloud == nil || !inCloud(g) || !hasReceipts(g) || u.Kind != receipts.KindAccount || u.AliasOf != 0 || s.b.cfg.Bridge.MatrixMembers == config.MatrixMembersNone {
		return nil
	}
	j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
	if err != nil || j.Wanted {
		return err
	}
	j.Wanted, j.Due, j.Attempts = true, s.now, 0
	s.work = true
	return s.b.own.PutJoin(ctx, j)
}

// leaveTencent has somebody removed from the Tencent group who is not in the room any more.
func (s *session) leaveTencent(ctx context.Context, g *mapping.Group, u mapping.User) error {
	if s.b.cloud == nil || g.SeqSource != mapping.SeqSourceCloud || u.Kind == receipts.KindLinked {
		return nil
	}
	j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
	if err != nil || u.Kind == receipts.KindAccount && !j.Wanted && !j.Joined {
		return err
	}
	return s.takeOut(ctx, g, u)
}

// takeOut has an account removed from the Tencent group, whether it is in it or not.
func (s *session) takeOut(ctx context.Context, g *mapping.Group, u mapping.User) error {
	s.work = true
	return s.b.own.PutJoin(ctx, bridgedb.Join{Group: g.Key, User: u.Key, Joined: true, Due: s.now})
}

// notInTencentGroup hears from Tencent that somebody's receipts are not taken: he may have been removed, or his account may be missing.
// He is brought in again; should that be of no use, it is tried less and less often.
func (s *session) notInTencentGroup(ctx context.Context, g *mapping.Group, u mapping.User, attempts int) error {
	if u.Kind != receipts.KindAccount || u.AliasOf != 0 { // the latter: linked while that was under way, and so taken out
		return nil
	}
	s.b.cloud.people.forget(u.Key)
	j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
	if err != nil {
		return err
	}
	j.Joined, j.Due = false, time.Time{}
	if j.Wanted = s.b.cfg.Bridge.MatrixMembers != config.MatrixMembersNone; j.Wanted {
		j.Due = s.now.Add(backoff(attempts, 0))
	}
	s.work = true
	return s.b.own.PutJoin(ctx, j)
}

// tencentJoined hears from Tencent whether an account is a member.
func (s *session) tencentJoined(ctx context.Context, g *mapping.Group, u mapping.User, joined bool) error {
	j, err := s.b.own.JoinOf(ctx, g.Key, u.Key)
	if err != nil || j.Joined == joined && (!joined || j.Wanted) {
		return err
	}
	j.Joined, j.Wanted, j.Attempts = joined, joined, 0
	j.Due = time.Time{}
	if err = s.b.own.PutJoin(ctx, j); err != nil || !joined {
		return err
	}
	row, _, err := s.reader(ctx, g.Key, u.Key)
	if err == nil && !row.Tencent.ContainsAll(row.Read) {
		s.ackDue(row)
	}
	return err
}

// joinBatch is what has to be done about the members of one group.
type joinBatch struct {
	group mapping.GroupKey
	list  []bridgedb.Join
}

func (c *cloud) joinReconciler() *reconciler[joinBatch] {
	const groups = 8 // at a time
	return &reconciler[joinBatch]{
		name:  "tencent members",
		limit: groups,
		due: func(ctx context.Context, limit int) ([]joinBatch, error) {
			now := c.b.clock()
			if next, ok, err := c.b.own.NextJoin(ctx); err != nil || !ok || next.After(now) { // nearly always, and much cheaper
				return nil, err
			}
			list, err := c.b.own.DueJoins(ctx, now, tencent.MaxAddMembers, limit*tencent.MaxAddMembers)
			return batches(list), err
		},
		next:  c.b.own.NextJoin,
		key:   func(j joinBatch) string { return fmt.Sprint(j.group) },
		ready: c.b.writable,
		do:    c.settleJoins,
		clock: c.b.clock,
		wake:  make(chan struct{}, 1),
	}
}

// batches puts together what belongs to one group.
func batches(list []bridgedb.Join) []joinBatch {
	var out []joinBatch
	at := make(map[mapping.GroupKey]int)
	for _, j := range list {
		i, ok := at[j.Group]
		if !ok {
			i = len(out)
			at[j.Group] = i
			out = append(out, joinBatch{group: j.Group})
		}
		out[i].list = append(out[i].list, j)
	}
	return out
}

// errGroupFull says that one more member would end receipts for everybody.
var errGroupFull = errors.New("the group has as many members as receipts allow")

// settleJoins brings people in and out and writes down who is a member now.
func (c *cloud) settleJoins(ctx context.Context, batch joinBatch) {
	log := zerolog.Ctx(ctx).With().Int64("group_key", int64(batch.group)).Logger()
	ctx = log.WithContext(ctx)
	g, err := c.b.maps.GroupByKey(ctx, batch.group)
	results := make(map[mapping.UserKey]error, len(batch.list)) // nil: as wanted
	if err == nil {
		err = c.trySettleJoins(ctx, g, batch.list, results)
	}
	if ctx.Err() != nil {
		return
	}
	commitErr := c.b.commits.do(ctx, func(ctx context.Context, s *session) error {
		for _, before := range batch.list {
			failure, tried := results[before.User]
			if !tried {
				failure = err
			}
			if err := s.joinSettled(ctx, &g, before, failure); err != nil {
				return err
			}
		}
		return nil
	})
	if commitErr != nil {
		log.Error().Err(commitErr).Msg("Failed to record members of Tencent group")
		sleep(ctx, errorPause)
	}
	for _, failure := range results {
		if failure != nil && err == nil {
			err = failure
		}
	}
	if err != nil {
		log.Warn().Err(err).Msg("Failed to bring members of Tencent group in line, will try again")
	}
}

func (c *cloud) trySettleJoins(ctx context.Context, g mapping.Group, list []bridgedb.Join, results map[mapping.UserKey]error) error {
	keys := make([]mapping.UserKey, len(list))
	for i, j := range list {
		keys[i] = j.User
	}
	users, err := c.b.maps.UsersByKey(ctx, keys)
	if err != nil {
		return err
	}
	var in, out []mapping.User
	for _, j := range list {
		switch u := users[j.User]; {
		case j.Wanted && u.AliasOf != 0: // joinSettled has him taken out
			results[j.User] = nil
		case j.Wanted && !j.Joined:
			in = append(in, u)
		case !j.Wanted && j.Joined:
			out = append(out, u)
		default:
			results[j.User] = nil
		}
	}
	if len(out) > 0 {
		c.takeOut(ctx, g, out, results)
	}
	if len(in) == 0 {
		return nil
	}
	return c.bringIn(ctx, g, in, results)
}

// takeOut removes accounts from a group. Where Tencent refuses it because of one of them, it does not say which.
func (c *cloud) takeOut(ctx context.Context, g mapping.Group, out []mapping.User, results map[mapping.UserKey]error) {
	names := make([]string, len(out))
	for i, u := range out {
		names[i] = u.UserID
	}
	err := c.client.DeleteGroupMember(ctx, g.GroupID, names, true, "")
	if len(out) > 1 && (errors.Is(err, tencent.ErrPerson) || errors.Is(err, tencent.ErrRefused)) {
		for _, u := range out {
			c.takeOut(ctx, g, []mapping.User{u}, results)
		}
		return
	}
	if errors.Is(err, tencent.ErrPerson) || errors.Is(err, tencent.ErrGroup) {
		err = nil // not there any more, which was wanted, or one who cannot be removed: then the catch-up brings him back
	}
	for _, u := range out {
		results[u.Key] = err
	}
}

// bringIn adds accounts to a group, as many as receipts allow.
func (c *cloud) bringIn(ctx context.Context, g mapping.Group, in []mapping.User, results map[mapping.UserKey]error) error {
	failed, err := c.ensureAccounts(ctx, in)
	if err != nil {
		return err
	}
	fit := len(in)
	if limit := c.b.cfg.Tencent.MaxMembers; limit > 0 {
		info, err := c.groupInfo(ctx, g.GroupID)
		if err != nil {
			return err
		}
		fit = max(0, limit-int(info.MemberNum))
	}
	var chosen []mapping.User
	for _, u := range in {
		switch {
		case failed[u.Key]:
			results[u.Key] = errors.New("the account could not be made")
		case len(chosen) == fit:
			results[u.Key] = errGroupFull
		default:
			chosen = append(chosen, u)
		}
	}
	if len(chosen) > 0 {
		c.add(ctx, g, chosen, results)
	}
	return nil
}

// add makes the call. One who cannot be added keeps nobody else out.
func (c *cloud) add(ctx context.Context, g mapping.Group, chosen []mapping.User, results map[mapping.UserKey]error) {
	names := make([]string, len(chosen))
	for i, u := range chosen {
		names[i] = u.UserID
	}
	added, err := c.client.AddGroupMember(ctx, g.GroupID, names, true)
	if len(chosen) > 1 && (errors.Is(err, tencent.ErrPerson) || errors.Is(err, tencent.ErrRefused)) {
		for _, u := range chosen {
			c.add(ctx, g, []mapping.User{u}, results)
		}
		return
	}
	became := make(map[string]tencent.Uint, len(added))
	for _, r := range added {
		became[r.Member_Account] = r.Result
	}
	for _, u := range chosen {
		result := became[u.UserID]
		switch {
		case err != nil:
			results[u.Key] = err
			c.people.forget(u.Key) // it may be the account that is missing
		case result == tencent.AddDone || result == tencent.AddAlready:
			results[u.Key] = nil
		default:
			results[u.Key] = fmt.Errorf("the account was not added, Tencent's result is %d", result)
		}
	}
}

// joinSettled takes what became of one person. Whoever is wanted otherwise by now is looked at again.
func (s *session) joinSettled(ctx context.Context, g *mapping.Group, before bridgedb.Join, failure error) error {
	j, err := s.b.own.JoinOf(ctx, before.Group, before.User)
	if err != nil {
		return err
	}
	if u, err := s.user(ctx, before.User); err != nil {
		return err
	} else if j.Wanted && u.AliasOf != 0 { // so a database may say that is from before this was seen to
		return s.takeOut(ctx, g, u)
	}
	if failure == nil {
		j.Joined, j.Attempts, j.Due = before.Wanted, 0, time.Time{}
		if j.Wanted != j.Joined {
			j.Due, s.work = s.now, true
		}
		s.b.cloud.membersMoved(before.Group)
		if err = s.b.own.PutJoin(ctx, j); err != nil {
			return err
		} else if !j.Joined {
			s.work = true
			return s.b.own.ReleaseJoins(ctx, before.Group, s.now) // there is a place free
		}
		row, _, err := s.reader(ctx, j.Group, j.User)
		if err == nil && !row.Tencent.ContainsAll(row.Read) {
			s.ackDue(row)
		}
		return err
	}
	var wait time.Duration
	j.Attempts, wait = s.b.again(j.Attempts, failure)
	if errors.Is(failure, errGroupFull) || errors.Is(failure, tencent.ErrGroup) {
		wait = pauseProbe // somebody leaving looks again
		s.notice(g, fmt.Sprintf("Not everybody here can become a member of the Tencent group: it may have %d members at most, or read receipts end for all. "+
			"Receipts of those who are not in are not seen by the app.", s.b.cfg.Tencent.MaxMembers), fmt.Sprintf("full_%d_%s", g.Key, s.now.UTC().Format(time.DateOnly)))
	}
	j.Due = s.now.Add(wait)
	s.work = true
	return s.b.own.PutJoin(ctx, j)
}
