package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/bridge/v2tim/v2timtest"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// options are what the demo can be told.
type options struct {
	binary string // timbridge
	keep   bool   // stay until ctx ends
}

// story is the demo under way.
type story struct {
	*show
	house *house

	anna, ben          *matrixUser
	carol, dave, admin *timUser
	rooms              map[string]id.RoomID // by group
	names              map[string]string    // who is behind a Tencent UserID
	lines              []*message           // all messages of the first part, in order
	cloud              *cloudStory          // the second part, nil before it
}

// message is one message as both sides know it.
type message struct {
	group, text, msgID string
	seq                uint64
	event              id.EventID
}

// run is the whole demo, from an empty folder to a removed one.
func run(ctx context.Context, s *show, opts options) (err error) {
	s.plain("timbridge demo: a real Dendrite and the real bin/timbridge on this machine. Of all that is shown",
		"only Tencent Cloud itself, in part 2, is a stand-in. anna and ben use Matrix.", "", "Starting")
	st := &story{show: s, house: &house{binary: opts.binary}, rooms: map[string]id.RoomID{}, names: map[string]string{}}
	if err = st.play(ctx); err == nil && opts.keep {
		err = st.keep(ctx)
	}
	if err = st.reason(ctx, err); err != nil && !errors.Is(err, errInterrupted) {
		s.plain("")
		s.line("FAILED", "%v", err)
		s.plain(st.house.logTails()...)
	}
	s.plain("", "Leaving nothing behind")
	st.leave()
	if closeErr := st.house.close(s); closeErr != nil {
		s.line("FAILED", "%v", closeErr)
		err = errors.Join(err, closeErr)
	}
	switch {
	case errors.Is(err, errInterrupted):
		s.plain("", "Interrupted.")
	case err != nil:
		s.plain("", fmt.Sprintf("The demo FAILED in step %d, after %d things had been seen to arrive as they should.", s.steps, s.seen))
	default:
		s.plain("", fmt.Sprintf("All is well: %d things were seen as they should be, in %s.", s.seen, s.took()))
	}
	return err
}

// reason makes of an error what the demo ends with: an end that was asked for is no failure.
func (st *story) reason(ctx context.Context, err error) error {
	switch printErr := st.failed(); {
	case printErr != nil:
		return printErr
	case ctx.Err() != nil && err != nil:
		return errInterrupted
	}
	return err
}

// leave ends what the users have open.
func (st *story) leave() {
	for _, u := range []*matrixUser{st.anna, st.ben} {
		if u != nil {
			u.sees.Close()
		}
	}
	st.carol.close()
	st.dave.close()
}

func (st *story) play(ctx context.Context) error {
	steps := []func(context.Context) error{
		st.start, st.mapGroups, st.tencentSends, st.matrixReads, st.tencentReads, st.matrixSends, st.tencentReadsMany,
		st.mixedGroups, st.ownSample, st.summary,
	}
	for _, step := range append(steps, st.cloudSteps()...) {
		if err := step(ctx); err != nil {
			return err
		} else if err = st.failed(); err != nil {
			return err
		} else if ctx.Err() != nil {
			return errInterrupted
		}
	}
	return nil
}

func (st *story) start(ctx context.Context) (err error) {
	if err = st.house.open(ctx, st.show); err != nil {
		return err
	}
	if st.anna, err = newMatrixUser(ctx, st.house.dendrite, "anna"); err != nil {
		return err
	}
	if st.ben, err = newMatrixUser(ctx, st.house.dendrite, "ben"); err != nil {
		return err
	}
	for _, u := range []*matrixUser{st.anna, st.ben} {
		st.names[mapping.AccountID(u.ID)] = string(u.ID)
	}
	st.line("ok", "%s and %s are registered and have /sync open", st.anna.ID, st.ben.ID)
	for _, u := range []struct {
		who    **timUser
		userID string
	}{{&st.carol, "carol"}, {&st.dave, "dave"}, {&st.admin, admin}} {
		if *u.who, err = newTimUser(ctx, st.house, u.userID); err != nil {
			return err
		}
	}
	st.line("ok", "carol and dave have a UserSig, and the WebSocket v2tim/events open")
	st.plain("", "Part 1: without Tencent Cloud (tencent.mode standalone)", "",
		"carol and dave use an app that calls timbridge's own V2TIM API. All four talk in one group and read.")
	return nil
}

// newRoom makes a room of anna's with a bot in it, and others.
func (st *story) newRoom(ctx context.Context, bot id.UserID, guests ...*matrixUser) (id.RoomID, error) {
	// timbridge registers its bot as it starts; nobody can be invited before he is there.
	profile := "/_matrix/client/v3/profile/" + url.PathEscape(string(bot))
	for deadline := time.Now().Add(readyWait); st.anna.Do(ctx, http.MethodGet, profile, nil, nil, nil) != nil; {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return "", fmt.Errorf("timbridge did not register %s", bot)
		}
		time.Sleep(pollEvery)
	}
	invited := []id.UserID{bot}
	for _, guest := range guests {
		invited = append(invited, guest.ID)
	}
	room, err := st.anna.CreateRoom(ctx, invited...)
	if err != nil {
		return "", err
	}
	for _, guest := range guests {
		if err = guest.Join(ctx, room); err != nil {
			return "", err
		}
	}
	return room, nil
}

// timCall makes a call of the V2TIM API, prints it with its answer, and fails if the code is another than expected.
func (st *story) timCall(ctx context.Context, u *timUser, service, command string, body any, want receipts.Code) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("failed to encode %s: %w", command, err)
	}
	st.call(u.UserID, service+"/"+command, string(text))
	a, err := u.post(ctx, service, command, string(text))
	if err != nil {
		return a, err
	}
	st.answer("%s", a.raw)
	if a.code != want {
		return a, fmt.Errorf("expected code %d", int(want))
	}
	return a, nil
}

func msgIDs(ms ...*message) map[string]any {
	list := make([]string, len(ms))
	for i, m := range ms {
		list[i] = m.msgID
	}
	return map[string]any{"messageIDList": list}
}

// people names Tencent users by what is behind them.
func (st *story) people(userIDs []string) string {
	list := make([]string, len(userIDs))
	for i, userID := range userIDs {
		list[i] = userID
		if name := st.names[userID]; name != "" {
			list[i] = fmt.Sprintf("%s (%s)", name, userID)
		}
	}
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, " and ")
}

// readers asks who has read a message, or who has not, and checks it.
func (st *story) readers(ctx context.Context, u *timUser, m *message, filter int, want ...string) error {
	verb := map[int]string{v2tim.FilterRead: "read", v2tim.FilterUnread: "not read"}[filter]
	got, err := u.ReadMembers(ctx, m.msgID, filter)
	if err != nil {
		return err
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("expected that seq %d was %s by %s, and not by %s", m.seq, verb, st.people(want), st.people(got))
	}
	st.ok("%s asks getGroupMessageReadMemberList, filter %d: seq %d was %s by %s", u.UserID, filter, m.seq, verb, st.people(got))
	return nil
}

// counts checks what the app's backend is told of messages, in the order of their seqs: read, unread, read, unread, …
func (st *story) counts(ctx context.Context, group string, seqs []uint64, want ...uint64) error {
	list, err := st.admin.GetGroupMsgReceipt(ctx, group, seqs...)
	if err != nil {
		return err
	}
	for i, r := range list {
		if r.ReadNum != want[2*i] || r.UnreadNum != want[2*i+1] {
			return fmt.Errorf("expected ReadNum %d and UnreadNum %d of seq %d, and not %d and %d", want[2*i], want[2*i+1], r.MsgSeq, r.ReadNum, r.UnreadNum)
		}
		st.ok("the app's backend asks get_group_msg_receipt: %q seq %d has ReadNum %d, UnreadNum %d", group, r.MsgSeq, r.ReadNum, r.UnreadNum)
	}
	return nil
}

func accounts(userIDs ...string) []v2tim.MemberAccount { return v2timtest.Accounts(userIDs...) }
