package bridge

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/relay"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// tencentResolver looks up, within a commit, what a Tencent message names.
type tencentResolver struct {
	ctx context.Context
	s   *session
	g   *mapping.Group
}

// MatrixUser implements relay.TencentResolver.
func (r tencentResolver) MatrixUser(userID string) (mxid id.UserID, name string, ok bool) {
	u, err := r.s.b.person(r.ctx, userID)
	if err != nil {
		return "", "", false
	}
	if profile, known := r.s.b.cloud.people.profile(u.Key); known {
		name = profile.Nick
	}
	return u.MXID, name, u.MXID != ""
}

// MatrixEvent implements relay.TencentResolver.
func (r tencentResolver) MatrixEvent(msgID string) (eventID id.EventID, sender id.UserID, ok bool) {
	if mapping.ValidateMsgID(msgID) != nil {
		return "", "", false
	}
	found, err := r.s.b.maps.MessagesByMsgID(r.ctx, []string{msgID})
	m, known := found[msgID]
	if err != nil || !known || m.Group != r.g.Key || m.EventID == "" || m.RoomID != r.g.RoomID {
		return "", "", false
	}
	u, err := r.s.personOf(r.ctx, m.Sender)
	if err != nil {
		return "", "", false
	}
	return id.EventID(m.EventID), u.MXID, true
}

// matrixResolver looks up what an event names. It may ask the homeserver, so it is never used within a commit.
type matrixResolver struct {
	ctx    context.Context
	c      *cloud
	g      *mapping.Group
	sender mapping.User
}

func (c *cloud) matrixResolver(ctx context.Context, g *mapping.Group, sender mapping.User) matrixResolver {
	return matrixResolver{ctx, c, g, sender}
}

// SenderName implements relay.MatrixResolver.
func (r matrixResolver) SenderName() string { return r.name(r.sender) }

func (r matrixResolver) name(u mapping.User) string {
	if u.Kind == receipts.KindGhost {
		if profile, known := r.c.people.profile(u.Key); known && profile.Nick != "" {
			return profile.Nick
		}
		return u.UserID
	}
	name, _, err := r.c.b.hs.Profile(r.ctx, u.MXID)
	if err != nil || name == "" {
		return u.MXID.Localpart()
	}
	return name
}

// MayMentionAll implements relay.MatrixResolver: who may configure the room may.
func (r matrixResolver) MayMentionAll() bool {
	may, err := r.c.b.hs.MayConfigure(r.ctx, r.sender.MXID, r.g.RoomID)
	return err == nil && may
}

// TencentUser implements relay.MatrixResolver.
func (r matrixResolver) TencentUser(mxid id.UserID) (userID, name string, ok bool) {
	if mapping.ValidateMXID(mxid) != nil {
		return "", "", false
	}
	u, err := r.c.b.maps.UserByMXID(r.ctx, mxid)
	if err != nil {
		return "", "", false
	}
	return u.UserID, r.name(u), true
}

// TencentMessage implements relay.MatrixResolver.
func (r matrixResolver) TencentMessage(eventID id.EventID) (original relay.Original, ok bool) {
	if mapping.ValidateEventID(eventID) != nil {
		return original, false
	}
	found, err := r.c.b.maps.MessagesByEvent(r.ctx, []id.EventID{eventID})
	m, known := found[eventID]
	if err != nil || !known || m.Group != r.g.Key {
		return original, false
	}
	u, err := r.c.b.personByKey(r.ctx, m.Sender)
	if err != nil {
		return original, false
	}
	original = relay.Original{MsgID: m.MsgID, UserID: u.UserID, Name: r.name(u), Seq: m.Seq}
	if !m.At.IsZero() {
		original.Time = m.At.Unix()
	}
	if around, err := r.c.b.hs.Surroundings(r.ctx, r.g.RoomID, eventID); err == nil {
		original.Abstract = relay.Abstract(around.Event.Content, around.Event.Type)
	} else {
		zerolog.Ctx(r.ctx).Debug().Err(err).Stringer("replied_to", eventID).Msg("Failed to read what is replied to")
	}
	return original, true
}

// Link implements relay.MatrixResolver.
func (r matrixResolver) Link(uri id.ContentURIString) string {
	parsed, err := uri.Parse()
	if err != nil {
		return ""
	}
	return r.c.mediaURL(parsed)
}

// relayMessage is what is translated of a message that Tencent told of.
func relayMessage(e *tencent.GroupMsgSent) relay.TencentMessage {
	m := relay.TencentMessage{CloudCustomData: e.CloudCustomData}
	for _, elem := range e.MsgBody {
		m.Body = append(m.Body, relay.Elem(elem))
	}
	for _, at := range e.GroupAtInfo {
		if at.GroupAtAllFlag {
			m.AtAll = true
		} else if at.GroupAt_Account != "" {
			m.AtAccounts = append(m.AtAccounts, at.GroupAt_Account)
		}
	}
	return m
}

// unmappedTxnID is the Matrix transaction id of a message that has no place in the group's history.
func unmappedTxnID(g *mapping.Group, e *tencent.GroupMsgSent) string {
	return fmt.Sprintf("tim_%d_x_%s_%d_%d", g.Key, e.From_Account, e.Random, e.MsgTime)
}
