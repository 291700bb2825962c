package bridge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/timbridge/timbridge/bridge/bridgedb"
	"github.com/timbridge/timbridge/bridge/tencent"
	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

// checkCloud looks whether Tencent takes our calls, has our groups, and when it last told us something.
func (b *Bridge) checkCloud(ctx context.Context, say sayFunc, report func(Finding)) {
	_, err := b.cloud.client.AccountCheck(ctx, []string{b.cfg.Tencent.Admin()})
	if !say("tencent", err, "Tencent takes our calls", cloudAdvice(err)) {
		return
	}
	if b.checkGroups(ctx, say) == 0 {
		report(Finding{Name: "groups", OK: true, Text: "no group of Tencent Cloud is linked yet: timbridge link GROUPID ROOM"})
	}
	value, err := b.own.Value(ctx, bridgedb.KeyWebhook)
	ms, _ := strconv.ParseInt("0"+value, 10, 64)
	text := "none of a linked group has come yet; see docs/tencent-cloud.md for the webhook URL and which ones to switch on"
	if ms > 0 {
		text = "the last one of a linked group came at " + time.UnixMilli(ms).UTC().Format(time.DateTime) + " UTC"
	}
	say("webhooks", err, text, "the database cannot be read")
}

// checkGroups looks whether Tencent has the linked groups, and returns how many there are.
func (b *Bridge) checkGroups(ctx context.Context, say sayFunc) (n int) {
	err := b.eachMapped(ctx, func(g mapping.Group) error {
		if !inCloud(&g) {
			return nil
		}
		n++
		info, err := b.cloud.groupInfo(ctx, g.GroupID)
		good := fmt.Sprintf("%d members", info.MemberNum)
		if p, paused, _ := b.own.PauseOf(ctx, g.Key); paused {
			good += fmt.Sprintf(", receipts pause since %s UTC: %s", p.Since.UTC().Format(time.DateTime), p.Code)
		}
		say("group "+g.GroupID, err, good, "Tencent does not show the group")
		return nil
	})
	if err != nil {
		say("groups", err, "", "the groups cannot be listed")
	}
	return n
}

// cloudAdvice says what to do about a refusal of Tencent's.
func cloudAdvice(err error) string {
	var refused *tencent.APIError
	if !errors.As(err, &refused) {
		return "Tencent cannot be reached; see tencent.region and tencent.base_url"
	}
	switch code := refused.Code; {
	case code == receipts.CodeNotAdmin, code == 70403, code == receipts.CodeAccountNotImported:
		return "the first of tencent.admins is no administrator of the app: make it one in Tencent's console"
	case code == 60026:
		return "the app lives in another region; see tencent.region"
	case code == receipts.CodeSDKAppIDInvalid, code == 70020:
		return "Tencent does not know the app; see tencent.sdk_app_id"
	case code >= receipts.CodeUserSigExpired && code <= 70052:
		return "Tencent does not take our UserSig; see tencent.sdk_app_id, tencent.secret_key and this machine's clock"
	default:
		return "Tencent refuses our calls"
	}
}
