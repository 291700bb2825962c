package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/matrix"
	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// What is said of a room that is no group's.
const notLinked = "This room is not linked with a group."

// doCommand does what a command asks for, if its sender may, and returns the answer.
func (b *Bridge) doCommand(ctx context.Context, ev matrix.Event) string {
	prefix := b.cfg.Bridge.CommandPrefix
	text, _ := commandText(prefix, ev.Content)
	req, ok := parseCommand(text)
	if !ok && req.verb == "" {
		return "I do not know that command. " + strings.TrimSpace(prefix) + " help lists those that there are."
	} else if !ok || req.verb == verbHelp {
		return commandUsage(prefix, req.verb)
	}
	refusal, err := b.refuseCommand(ctx, req, ev)
	if err == nil && refusal != "" {
		zerolog.Ctx(ctx).Info().Str("command", req.verb).Msg("Refused a command")
		return refusal
	}
	var answer string
	if err == nil {
		answer, err = b.carryOut(ctx, req, ev)
	}
	var coded *receipts.Error
	switch {
	case err == nil:
		zerolog.Ctx(ctx).Info().Str("command", req.verb).Msg("Did a command")
		return answer
	case errors.As(err, &coded):
		zerolog.Ctx(ctx).Info().Err(err).Str("command", req.verb).Msg("A command could not be done")
		return "That cannot be done: " + coded.Desc
	default:
		zerolog.Ctx(ctx).Error().Err(err).Str("command", req.verb).Msg("A command failed")
		return "That failed; timbridge's log says why. It can be tried again."
	}
}

// refuseCommand tells what stands in the way of a command: rights. What everybody may do needs none.
func (b *Bridge) refuseCommand(ctx context.Context, req commandRequest, ev matrix.Event) (refusal string, err error) {
	switch req.verb {
	case verbLink, verbUnlink, verbReceipts:
	default:
		return "", nil
	}
	// A stranger can make a room, in which he may do everything, and invite the bot: the power in a room says nothing about
	// whether its owner may read a group.
	if req.verb == verbLink && !b.mayLink(ev.Sender) {
		return "You may not link a room with a group (bridge.may_link). The operator of timbridge can do it for you.", nil
	}
	may, err := b.hs.MayConfigure(ctx, ev.Sender, ev.RoomID)
	if err != nil || may {
		return "", err
	}
	return "You may not do that here: it takes the power to change this room's settings (to send " + matrix.ConfigEventType + " state).", nil
}

// mayLink tells whether somebody is trusted to link groups at all. That he has an account here is the least that an operator can have
// decided.
func (b *Bridge) mayLink(user id.UserID) bool {
	if len(b.cfg.Bridge.MayLink) == 0 {
		return user.Homeserver() == b.cfg.Homeserver.Domain
	}
	return b.linkers.Match(user.String())
}

func (b *Bridge) carryOut(ctx context.Context, req commandRequest, ev matrix.Event) (string, error) {
	switch req.verb {
	case verbLink:
		linked, err := admin{b}.MapGroup(ctx, v2tim.MapGroupRequest{GroupId: req.groupID, RoomId: ev.RoomID.String()})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("This room is linked with group %s.", linked.GroupId), nil
	case verbMyReceipts:
		err := b.setPrivate(ctx, ev.Sender, !req.on)
		switch {
		case isNotFound(err):
			return "You are not known to timbridge, so that nothing of yours crosses.", nil
		case err != nil:
			return "", err
		case req.on:
			return "Your read receipts cross, in all groups.", nil
		}
		return "Your read receipts do not cross any more, in any group.", nil
	}
	g, err := b.maps.GroupByRoom(ctx, ev.RoomID)
	if isNotFound(err) {
		return notLinked, nil
	} else if err != nil {
		return "", err
	}
	switch req.verb {
	case verbUnlink:
		if err = (admin{b}).UnmapGroup(ctx, v2tim.UnmapGroupRequest{GroupId: g.GroupID}); err != nil {
			return "", err
		}
		return fmt.Sprintf("This room is no longer linked with group %s.", g.GroupID), nil
	case verbReceipts:
		return b.switchReceipts(ctx, req, g)
	default:
		return b.describe(ctx, g)
	}
}

// switchReceipts switches the directions that are asked for and tells how both are now.
func (b *Bridge) switchReceipts(ctx context.Context, req commandRequest, g mapping.Group) (string, error) {
	var toMatrix, toTencent *bool
	if req.toMatrix {
		toMatrix = &req.on
	}
	if req.toTencent {
		toTencent = &req.on
	}
	if err := b.setSwitches(ctx, g.Key, toMatrix, toTencent); err != nil {
		return "", err
	}
	g, err := b.maps.GroupByKey(ctx, g.Key)
	if err != nil {
		return "", err
	}
	return switchLine(g), nil
}

func switchLine(g mapping.Group) string {
	return fmt.Sprintf("Read receipts to Matrix: %s, to Tencent: %s", offOn(g.ToMatrix), offOn(g.ToTencent))
}

func offOn(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// describe tells how a group stands.
func (b *Bridge) describe(ctx context.Context, g mapping.Group) (string, error) {
	members, err := b.maps.MemberCount(ctx, g.Key)
	if err != nil {
		return "", err
	}
	pending, err := b.pending(ctx)
	if err != nil {
		return "", err
	}
	lines := []string{"Group: " + g.GroupID}
	if g.Name != "" {
		lines[0] += " (" + g.Name + ")"
	}
	numbered := map[mapping.SeqSource]string{
		mapping.SeqSourceOwn: "by timbridge", mapping.SeqSourceStamped: "by another bridge", mapping.SeqSourceCloud: "by Tencent Cloud",
	}
	lines = append(lines,
		"Room: "+g.RoomID.String(),
		"Messages are numbered: "+numbered[g.SeqSource],
		fmt.Sprintf("Members: %d", members),
		switchLine(g),
		fmt.Sprintf("Waiting to be sent, in all groups: %d", pending))
	if b.cfg.Tencent.Mode == config.ModeCloud {
		lines = append(lines, b.cloudStatus(ctx, g)...)
	}
	return strings.Join(lines, "\n"), nil
}
