package main

import (
	"context"
	"fmt"
	"strings"
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
		"That sets the variables of the commands below.", "",
		"Part 1, without Tencent Cloud. CAROL, DAVE and ADMIN are what stands behind the ? of every call:",
		"sdkappid=...&identifier=carol&usersig=... with a fresh UserSig, valid for a day.", "",
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
		"The examples of README.md work here as well: env.sh has the timbridge and tim that they use.")
	st.cloud.keep()
	st.plain("The logs are "+st.house.path("*.log")+".", "",
		"What arrives from now on is shown here. Ctrl-C ends it all and leaves nothing behind.", "")
	return st.watch(ctx)
}

// keep tells how to go on with the second part.
func (c *cloudStory) keep() {
	sim := func(what, line string) []string {
		return []string{"  " + what, fmt.Sprintf(`     curl -s "$SIM" -d '%s'`, line), ""}
	}
	c.plain("", "Part 2, with Tencent Cloud. SIM takes what people do in their apps; cloud is timbridge with its config.", "")
	c.plain(sim("erin sends a message in her app", "send project erin hello from the app")...)
	c.plain(sim("finn reads all messages in his app", "ack project finn all")...)
	c.plain("  anna reads, in her Matrix client, up to erin's last message",
		`     curl -s -X POST -H "Authorization: Bearer $ANNA" \`,
		`       "$HS/_matrix/client/v3/rooms/$ROOM3/receipt/m.read/$LAST3" -d '{}'`, "")
	c.plain(sim("what erin's app has been told since", "told erin")...)
	c.plain(sim("who has read erin's last message, and who has not", fmt.Sprintf("receipts project %d", c.last().seq))...)
	c.plain(sim("what else there is: webhooks off loses webhooks, network off cuts timbridge off from Tencent", "help")...)
	c.plain("  the group is parted from its room, and linked again",
		`     cloud unlink project`,
		`     cloud link project "$ROOM3"`, "")
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
	set("TIM", st.house.standalone.api)
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
	set("SIM", st.house.sim.url+"/sim")
	set("ROOM3", string(st.cloud.room))
	set("LAST3", string(st.cloud.last().event))
	command := func(name string, i *instance) {
		fmt.Fprintf(&b, "%s() { %s -n -c %s \"$@\"; }\n", name, quote(st.house.binary), quote(i.config()))
	}
	command("timbridge", st.house.standalone)
	command("cloud", st.house.cloud)
	b.WriteString(timFunction)
	return b.String()
}

// quote makes a word of the shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
