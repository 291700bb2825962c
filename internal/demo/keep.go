package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/timbridge/timbridge/bridge/v2tim"
)

// keep leaves everything running until ctx ends, and shows what arrives.
func (st *story) keep(ctx context.Context) error {
	if err := st.house.write("env.sh", st.environment()); err != nil {
		return err
	}
	post := func(query, command, body string) []string {
		return []string{fmt.Sprintf(`     curl -s "$TIM/v4/%s?$%s" \`, command, query), fmt.Sprintf(`       -d '%s'`, body), ""}
	}
	st.plain("", "KEEP=1: everything is still running. In another terminal:", "",
		"     . "+st.house.path("env.sh"), "",
		"That sets the variables of the commands below. CAROL, DAVE and ADMIN are what stands behind the ? of",
		"every call: sdkappid=...&identifier=carol&usersig=... with a fresh UserSig, valid for a day.", "",
		"  carol sends a message; its msgID is in the answer")
	st.plain(post("CAROL", "v2tim/sendMessage", `{"groupID":"team","text":"hello","needReadReceipt":true}`)...)
	st.plain("  dave acknowledges ben's message (he has done so before: code 0, and nothing happens)")
	st.plain(post("DAVE", "v2tim/sendMessageReadReceipts", fmt.Sprintf(`{"messageIDList":[%q]}`, st.lines[3].msgID))...)
	st.plain("  carol asks for the counts of her first message")
	st.plain(post("CAROL", "v2tim/getMessageReadReceipts", fmt.Sprintf(`{"messageIDList":[%q]}`, st.lines[0].msgID))...)
	st.plain("  the administrator lists the newest messages of the group")
	st.plain(post("ADMIN", "timbridge/get_group_messages", `{"GroupId":"team","ReqMsgNumber":5}`)...)
	st.plain("  ben reads, in his Matrix client, up to his own message",
		`     curl -s -X POST -H "Authorization: Bearer $BEN" \`,
		`       "$HS/_matrix/client/v3/rooms/$ROOM/receipt/m.read/$LAST" -d '{}'`, "",
		"  anna writes in her Matrix client",
		`     curl -s -X PUT -H "Authorization: Bearer $ANNA" \`,
		`       "$HS/_matrix/client/v3/rooms/$ROOM/send/m.room.message/$RANDOM" \`,
		`       -d '{"msgtype":"m.text","body":"hi"}'`, "",
		"The examples of README.md work here as well: env.sh has the timbridge and tim that they use.",
		"The log is "+st.house.path("timbridge.log")+".", "",
		"What arrives from now on is shown here. Ctrl-C ends it all and leaves nothing behind.", "")
	return st.watch(ctx)
}

// timFunction makes a call short. It stands in README.md too.
const timFunction = `tim() { # tim USER SERVICE/COMMAND BODY
	curl -sS "$TIM/v4/$2?sdkappid=$APP&identifier=$1&usersig=$(timbridge usersig "$1")&random=$RANDOM&contenttype=json" -d "$3"
	echo
}
`

// environment is a piece of shell that makes the examples work: in README.md too, which has its tim function from here.
func (st *story) environment() string {
	var b strings.Builder
	set := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, quote(value)) }
	query := func(u *timUser) string {
		_, query, _ := strings.Cut(u.URL("", ""), "?")
		return query
	}
	set("TIM", st.house.api)
	set("APP", fmt.Sprint(sdkAppID))
	set("CAROL", query(st.carol))
	set("DAVE", query(st.dave))
	set("ADMIN", query(st.admin))
	set("HS", st.house.dendrite.URL())
	set("ANNA", st.anna.Token)
	set("BEN", st.ben.Token)
	set("ROOM", string(st.rooms[team]))
	set("ROOM2", string(st.rooms[lunch]))
	set("LAST", string(st.lines[3].event))
	fmt.Fprintf(&b, "timbridge() { %s -n -c %s \"$@\"; }\n", quote(st.house.binary), quote(st.house.path("config.yaml")))
	b.WriteString(timFunction)
	return b.String()
}

// quote makes a word of the shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// watch prints what arrives, on both sides, until ctx ends.
func (st *story) watch(ctx context.Context) error {
	seen := map[string]int{"anna": len(st.anna.sees.ReceiptLog(st.rooms[team]))}
	for _, u := range []*timUser{st.carol, st.dave} {
		seen[u.UserID] = len(u.received())
	}
	tick := time.NewTicker(4 * pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-st.house.bridge.done:
			return fmt.Errorf("timbridge has ended: %v", st.house.bridge.err)
		case <-tick.C:
		}
		receipts := st.anna.sees.ReceiptLog(st.rooms[team])
		for _, r := range receipts[seen["anna"]:] {
			st.line("seen", "anna's /sync: %s of %s on %s", r.Type, r.User, r.Event)
		}
		seen["anna"] = len(receipts)
		for _, u := range []*timUser{st.carol, st.dave} {
			events := u.received()
			for _, e := range events[seen[u.UserID]:] {
				st.event(u, e)
			}
			seen[u.UserID] = len(events)
		}
		if err := st.failed(); err != nil {
			return err
		}
	}
}

// event prints one event of a WebSocket.
func (st *story) event(u *timUser, e v2tim.Event) {
	switch {
	case e.Message != nil:
		st.line("seen", "%s's WebSocket: %s %s of %s: %q", u.UserID, e.Event, e.Message.MsgID, e.Message.Sender, e.Message.Text)
	case len(e.ReceiptList) > 0:
		for _, r := range e.ReceiptList {
			st.line("seen", "%s's WebSocket: %s %s readCount %d unreadCount %d", u.UserID, e.Event, r.MsgID, r.ReadCount, r.UnreadCount)
		}
	default:
		st.line("seen", "%s's WebSocket: %s", u.UserID, e.Event)
	}
}
