package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// EnsureBot registers the bot with the homeserver unless the state store knows that it is.
func (a *AppService) EnsureBot(ctx context.Context) error {
	return a.EnsureRegistered(ctx, a.bot)
}

// EnsureRegistered registers a ghost (or the bot) unless the state store knows that it is.
func (a *AppService) EnsureRegistered(ctx context.Context, ghost id.UserID) error {
	registered, err := a.as.StateStore.IsRegistered(ctx, ghost)
	if err != nil {
		return fmt.Errorf("failed to look up whether a user is registered: %w", err)
	}
	if registered {
		return nil
	}
	return a.register(ctx, ghost)
}

// register registers a user of ours whatever the state store says.
func (a *AppService) register(ctx context.Context, user id.UserID) error {
	if !a.isOurs(user) {
		return fmt.Errorf("failed to register user: %w", ErrNoPuppet)
	}
	// Without user_id: the user may not exist yet.
	client := a.as.NewMautrixClient(user)
	client.SetAppServiceUserID = false
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := client.MakeFullRequest(withoutLog(ctx), mautrix.FullRequest{
		Method: http.MethodPost,
		URL:    client.BuildClientURL("v3", "register"),
		RequestJSON: &mautrix.ReqRegister[any]{
			Username:     user.Localpart(),
			Type:         mautrix.AuthTypeAppservice,
			InhibitLogin: true,
		},
		MaxAttempts:       1,
		ResponseSizeLimit: maxResponse,
	})
	if err != nil && !errors.Is(err, mautrix.MUserInUse) {
		return fmt.Errorf("failed to register user: %w", classify(ctx, err))
	}
	if err = a.as.StateStore.MarkRegistered(ctx, user); err != nil {
		return fmt.Errorf("failed to store that a user is registered: %w", err)
	}
	return nil
}

// JoinBot makes the bot join a room it may join or is invited to; ErrForbidden otherwise.
func (a *AppService) JoinBot(ctx context.Context, room id.RoomID) error {
	if err := a.EnsureBot(ctx); err != nil {
		return err
	}
	if err := a.join(ctx, a.bot, room); err != nil {
		return fmt.Errorf("failed to join the bot to a room: %w", err)
	}
	return a.remember(ctx, room, a.bot, event.MembershipJoin)
}

// EnsureJoined makes a ghost a member of a room: it registers and joins him and, where he may not
// join, has the bot invite him first. It costs one look into the state store if he is there already.
// ErrBotCannotInvite tells that the bot has no right to invite, ErrForbidden alone that the ghost is
// banned.
func (a *AppService) EnsureJoined(ctx context.Context, ghost id.UserID, room id.RoomID) error {
	if !a.isOurs(ghost) {
		return fmt.Errorf("failed to join user: %w", ErrNoPuppet)
	}
	if a.as.StateStore.IsInRoom(ctx, room, ghost) {
		return nil
	}
	lock := a.joins.of(string(ghost) + string(room))
	select {
	case lock <- struct{}{}:
		defer func() { <-lock }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if a.as.StateStore.IsInRoom(ctx, room, ghost) {
		return nil
	}
	if err := a.EnsureRegistered(ctx, ghost); err != nil {
		return err
	}
	err := a.join(ctx, ghost, room)
	if errors.Is(err, ErrForbidden) {
		err = a.inviteAndJoin(ctx, ghost, room)
	}
	if err != nil {
		return fmt.Errorf("failed to join ghost to room: %w", err)
	}
	return a.remember(ctx, room, ghost, event.MembershipJoin)
}

func (a *AppService) inviteAndJoin(ctx context.Context, ghost id.UserID, room id.RoomID) error {
	err := a.call(ctx, a.bot, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "invite"},
		body:   map[string]any{"user_id": ghost},
	}, nil)
	if errors.Is(err, ErrForbidden) {
		err = a.whyNotInvited(ctx, ghost, room, err)
	}
	if err != nil {
		return err
	}
	err = a.join(ctx, ghost, room)
	if errors.Is(err, ErrForbidden) {
		// Invited and still refused: a homeserver set up anew does not know the ghost.
		if err = a.register(ctx, ghost); err == nil {
			err = a.join(ctx, ghost, room)
		}
	}
	return err
}

// whyNotInvited finds out why the bot's invitation was refused. A homeserver also refuses to invite
// who is banned, and who is invited or joined already; nil is returned for the latter.
func (a *AppService) whyNotInvited(ctx context.Context, ghost id.UserID, room id.RoomID, refusal error) error {
	var member struct {
		Membership event.Membership `json:"membership"`
	}
	err := a.call(ctx, a.bot, request{
		method: http.MethodGet,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "state", "m.room.member", ghost},
	}, &member)
	var temporary *TemporaryError
	switch {
	case errors.As(err, &temporary), ctx.Err() != nil:
		return err
	case member.Membership == event.MembershipBan:
		return fmt.Errorf("ghost is banned: %w", refusal)
	case member.Membership == event.MembershipInvite, member.Membership == event.MembershipJoin:
		return nil
	default:
		return fmt.Errorf("%w: %w", ErrBotCannotInvite, refusal)
	}
}

func (a *AppService) join(ctx context.Context, user id.UserID, room id.RoomID) error {
	return a.call(ctx, user, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "join"},
	}, nil)
}

// Leave makes a user of ours leave a room, or reject an invitation. That he is not there is what was
// wanted and no error.
func (a *AppService) Leave(ctx context.Context, as id.UserID, room id.RoomID) error {
	err := a.call(ctx, as, request{
		method: http.MethodPost,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "leave"},
	}, nil)
	var refused *RequestError
	var temporary *TemporaryError
	if errors.As(err, &refused) && !errors.As(err, &temporary) {
		// What is said to somebody who is not there differs: 403 (Synapse), 400 M_UNKNOWN (Dendrite).
		err = a.stillThere(ctx, as, room, err)
	}
	if err != nil {
		return fmt.Errorf("failed to leave room: %w", err)
	}
	return a.remember(ctx, room, as, event.MembershipLeave)
}

// stillThere returns the refusal to leave a room if the user is in it after all.
func (a *AppService) stillThere(ctx context.Context, as id.UserID, room id.RoomID, refusal error) error {
	var answer struct {
		Rooms []id.RoomID `json:"joined_rooms"`
	}
	err := a.call(ctx, as, request{method: http.MethodGet, path: mautrix.ClientURLPath{"v3", "joined_rooms"}}, &answer)
	switch {
	case errors.Is(err, ErrForbidden):
		return nil // not even registered
	case err != nil:
		return err
	case slices.Contains(answer.Rooms, room):
		return refusal
	default:
		return nil
	}
}

// remember writes a membership into the state store.
func (a *AppService) remember(ctx context.Context, room id.RoomID, user id.UserID, membership event.Membership) error {
	if err := a.as.StateStore.SetMembership(ctx, room, user, membership); err != nil {
		return fmt.Errorf("failed to store membership: %w", err)
	}
	return nil
}

// doubtMembership makes the next EnsureJoined ask the homeserver, after it refused a user of ours.
func (a *AppService) doubtMembership(ctx context.Context, user id.UserID, room id.RoomID, err error) {
	if !errors.Is(err, ErrForbidden) || !a.isOurs(user) {
		return
	}
	if err = a.remember(ctx, room, user, event.MembershipLeave); err != nil {
		zerolog.Ctx(ctx).Warn().Err(err).Msg("Failed to mark a membership as doubtful")
	}
}

// JoinedMembers returns who is in a room that the bot is in, sorted.
func (a *AppService) JoinedMembers(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	var answer struct {
		Joined map[id.UserID]struct{} `json:"joined"`
	}
	err := a.call(ctx, a.bot, request{
		method: http.MethodGet,
		path:   mautrix.ClientURLPath{"v3", "rooms", room, "joined_members"},
	}, &answer)
	if err != nil {
		return nil, fmt.Errorf("failed to list the members of a room: %w", err)
	}
	members := make([]id.UserID, 0, len(answer.Joined))
	for user := range answer.Joined {
		if validID(string(user), '@') {
			members = append(members, user)
		}
	}
	slices.Sort(members)
	return members, nil
}
