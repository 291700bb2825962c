package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// These say who and what there is, for both bridges: bridgev2/seed.go makes the same of the same formats and the same hash.
const (
	roomFormat = "!bench%d:" + lab.Domain
	userFormat = "@reader%d:" + lab.Domain
	firstMS    = 1727580296000 // when the first message was sent; each next one a second later
)

func roomID(g int) id.RoomID   { return id.RoomID(fmt.Sprintf(roomFormat, g)) }
func readerID(u int) id.UserID { return id.UserID(fmt.Sprintf(userFormat, u)) }
func accountID(u int) string   { return mapping.AccountID(readerID(u)) }
func groupID(g int) string     { return "bench" + strconv.Itoa(g) }
func appID(u int) string       { return "app" + strconv.Itoa(u) }

// eventID looks as those of homeservers do: a hash, so that events lie in no order in an index.
func eventID(g, m int) id.EventID {
	sum := sha256.Sum256(fmt.Appendf(nil, "event %d %d", g, m))
	return id.EventID("$" + base64.RawURLEncoding.EncodeToString(sum[:]))
}

// msgID is of Tencent's form: who, when, and a random number.
func msgID(g, m int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "message %d %d", g, m))
	random := uint32(sum[0])<<24 | uint32(sum[1])<<16 | uint32(sum[2])<<8 | uint32(sum[3])
	return fmt.Sprintf("144115233406643804-%d-%d", firstMS/1000+m, random)
}

// town is many groups with the same people in each.
type town struct {
	groups, messages int
	matrixUsers      int  // Matrix users who are in every group
	apps             int  // Tencent users who are in every group
	cloud            bool // the groups live in Tencent Cloud
}

// ghost is the Matrix user that stands for a Tencent user.
func ghost(user string) id.UserID { return mapping.GhostMXID("tim_", user, lab.Domain) }

// people are all Matrix users of a room of the town.
func (t town) people() (list []id.UserID) {
	for u := range t.matrixUsers {
		list = append(list, readerID(u))
	}
	for u := range t.apps {
		list = append(list, ghost(appID(u)))
	}
	return append(list, ghost("sender"))
}

// seed imports the town into the database of a timbridge that does not run. Nothing goes out to Matrix, where this town is not.
func (t town) seed(ctx context.Context, b *bridge) error {
	path := b.path("town.ndjson")
	if err := t.write(path); err != nil {
		return fmt.Errorf("failed to write town: %w", err)
	}
	if _, err := b.suite.run(ctx, b.dir, b.suite.timbridge, "import", "-c", b.path("config.yaml"), path); err != nil {
		return err
	}
	return os.Remove(path)
}

func (t town) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriterSize(file, 1<<20)
	enc := json.NewEncoder(out)
	if err = t.records(enc); err != nil {
		return err
	}
	if err = out.Flush(); err != nil {
		return err
	}
	return file.Close()
}

func (t town) records(enc *json.Encoder) error {
	zero, off, on := receipts.Pos(0), false, true
	source := mapping.SeqSourceOwn
	if t.cloud {
		source = mapping.SeqSourceCloud
	}
	users := []mapping.Record{{Type: mapping.RecordUser, UserID: "sender", MXID: ghost("sender"), Kind: "ghost"}}
	for u := range t.matrixUsers {
		users = append(users, mapping.Record{Type: mapping.RecordUser, UserID: accountID(u), MXID: readerID(u), Kind: "account"})
	}
	for u := range t.apps {
		users = append(users, mapping.Record{Type: mapping.RecordUser, UserID: appID(u), MXID: ghost(appID(u)), Kind: "ghost"})
	}
	for _, u := range users {
		if err := enc.Encode(u); err != nil {
			return err
		}
	}
	for g := range t.groups {
		err := enc.Encode(mapping.Record{
			Type: mapping.RecordGroup, GroupID: groupID(g), RoomID: roomID(g), SeqSource: source, GroupType: "Public", LinkedPos: &zero, ToMatrix: &off, ToTencent: &on,
		})
		if err != nil {
			return err
		}
		for _, u := range users {
			if err = enc.Encode(mapping.Record{Type: mapping.RecordMember, GroupID: groupID(g), UserID: u.UserID, JoinedPos: &zero}); err != nil {
				return err
			}
		}
		for m := range t.messages {
			at := int64(firstMS) + int64(m)*1000
			err = enc.Encode(mapping.Record{
				Type: mapping.RecordMessage, GroupID: groupID(g), Seq: receipts.MsgSeq(m + 1), EventID: eventID(g, m), MsgID: msgID(g, m), Sender: "sender", Wants: "yes", At: &at,
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
