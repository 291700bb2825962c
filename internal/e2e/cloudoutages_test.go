package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/bridge/tencent/tencenttest"
	"github.com/timbridge/timbridge/internal/lab"
	"github.com/timbridge/timbridge/receipts"
)

// Both sides go on while timbridge is not there, and something was under way when it ended.
func testCloudStoppedAndKilled(t *testing.T, w *world) {
	s := ownCloud(t, w, "cloudstopped")
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.linked([]*lab.User{ann, ben}, alice, bob)
	g.bothTalk(alice, ben, "hello")
	texts := []string{"hello from the app", "hello from Matrix"}
	var bobRead message
	for _, how := range []struct {
		name string
		end  func(testing.TB)
	}{{"stopped", s.b.stop}, {"killed", s.b.kill}} {
		first, second := g.says(alice, how.name+": first"), g.writes(ben, how.name+": second")
		last := g.sends(alice, how.name+": the last words in the app")
		g.acks(bob, first)
		g.read(ann, first.event)
		lastEvent, err := ben.SendText(s.ctx, g.room, how.name+": the last words in the room")
		require.NoError(t, err)
		how.end(t)
		missed := g.sends(alice, how.name+": missed")
		g.acks(bob, message{seq: last.Seq}, message{seq: missed.Seq})
		event, err := ann.SendText(s.ctx, g.room, how.name+": unheard")
		require.NoError(t, err)
		g.read(ann, second.event)
		g.read(ben, first.event)
		s.b.start(t)

		g.reaches(ben, lastEvent, how.name+": the last words in the room")
		unheard := g.reaches(ann, event, how.name+": unheard")
		g.hasRead(ann, first, second)
		g.hasRead(ben, first)
		bobRead = g.shown(missed)
		g.acks(alice, unheard)
		g.ghostRead(alice, unheard)
		g.bothTalk(alice, ben, how.name+": after")
		for _, text := range []string{
			"first", "second", "the last words in the app", "the last words in the room", "missed", "unheard", "after from the app", "after from Matrix",
		} {
			texts = append(texts, how.name+": "+text)
		}
		g.roomHas(texts...)
		g.appHas(texts...)
	}
	// Synapse 1.160.0 may keep back a transaction that it makes while it finds timbridge there again, until it misses it the next time.
	s.b.stop(t)
	event, err := ann.SendText(s.ctx, g.room, "good night")
	require.NoError(t, err)
	s.b.start(t)
	g.reaches(ann, event, "good night")
	g.ghostRead(bob, bobRead)
}

// Tencent is not to be reached, then there again and out of breath.
func testCloudOutage(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	s.ownFake(tencenttest.Options{})
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.linked([]*lab.User{ann, ben}, alice, bob)
	g.bothTalk(alice, ben, "before")
	hello := g.says(alice, "hello")

	s.cloud.SetOutage(true)
	said := g.sends(alice, "said meanwhile")
	g.acks(bob, hello)
	event, err := ben.SendText(s.ctx, g.room, "written meanwhile")
	require.NoError(t, err)
	g.read(ben, hello.event)
	g.read(ann, hello.event) // who is no member yet
	s.waitLog(event.String(), "Failed to carry to Tencent")
	s.waitLog(account(ben), "Tencent did not take receipts")
	for command, code := range map[string]receipts.Code{
		"send_group_msg": receipts.CodeGroupSendFreqLimit, "group_msg_receipt": 60007, "add_group_member": 10006, "group_msg_get_simple": 60011, "get_group_msg_receipt": 60018,
	} {
		s.cloud.FailNext(command, 1, tencenttest.Fault{Code: code})
	}
	s.cloud.SetOutage(false)

	written := g.reaches(ben, event, "written meanwhile")
	g.hasRead(ben, hello)
	g.hasRead(ann, hello)
	g.told(alice, hello, 3)
	g.ghostRead(bob, hello)
	shown := g.shown(said)
	g.acks(alice, written)
	g.ghostRead(alice, written)
	g.read(ben, shown.event)
	g.hasRead(ben, shown)
	texts := []string{"before from the app", "before from Matrix", "hello", "said meanwhile", "written meanwhile"}
	g.roomHas(texts...)
	g.appHas(texts...)
}

// Tencent does what it was asked and does not say so: nothing is there twice.
func testCloudUnclearAnswers(t *testing.T, w *world) {
	s := newCloudScene(t, w, sharedCloud)
	s.ownFake(tencenttest.Options{Points: tencenttest.Points{DuplicateHidesSeq: true}})
	alice := s.member("alice")
	g := s.linked([]*lab.User{s.user("ann")}, alice)
	var texts []string
	for _, how := range []struct {
		name  string
		fault tencenttest.Fault
	}{
		{"dropped", tencenttest.Fault{Drop: true, Acted: true}},
		{"half an answer", tencenttest.Fault{Half: true, Acted: true}},
		{"a proxy's error", tencenttest.Fault{Status: 502, Acted: true}},
		{"an error all the same", tencenttest.Fault{Code: receipts.CodeGroupInternalError, Acted: true}},
	} {
		u := s.user("ben")
		g.join(u)
		before := g.says(alice, "before "+how.name)
		for _, command := range []string{"send_group_msg", "group_msg_receipt", "add_group_member"} {
			s.cloud.FailNext(command, 1, how.fault)
		}
		g.read(u, before.event)
		written := g.writes(u, how.name)
		g.acks(alice, written)
		g.ghostRead(alice, written)
		g.hasRead(u, before)
		for _, command := range []string{"send_group_msg", "group_msg_receipt", "add_group_member"} {
			require.Positive(t, s.cloud.Codes(command)[how.fault.Code], "%s was made to fail", command)
		}
		texts = append(texts, "before "+how.name, how.name)
		s.cloud.StopFailing()
	}
	g.roomHas(texts...)
	g.appHas(texts...)
}

// The homeserver is stopped, and then there is a power cut of both machines.
func testCloudRestarts(t *testing.T, w *world) {
	s := ownCloud(t, w, "cloudrestarted")
	ann, ben := s.user("ann"), s.user("ben")
	alice, bob := s.member("alice"), s.member("bob")
	g := s.linked([]*lab.User{ann, ben}, alice, bob)
	g.bothTalk(alice, ben, "hello")
	first := g.writes(ann, "first")
	g.roomHas("hello from the app", "hello from Matrix", "first") // stopped before that, Dendrite would show it half a minute later

	require.NoError(t, w.hs.Stop(s.ctx))
	sent := g.sends(alice, "into the dark")
	g.acks(bob, first)
	require.NoError(t, w.hs.Restart(s.ctx))
	g.ghostRead(bob, first)
	shown := g.shown(sent)
	g.read(ann, shown.event)
	g.hasRead(ann, shown)
	second := g.writes(ben, "after the restart")
	g.roomHas("hello from the app", "hello from Matrix", "first", "into the dark", "after the restart")

	require.NoError(t, w.hs.Kill())
	s.b.kill(t)
	sent = g.sends(alice, "into the dark again")
	g.acks(bob, second, message{seq: sent.Seq})
	require.NoError(t, w.hs.Restart(s.ctx))
	g.read(ben, shown.event)
	event, err := ann.SendText(s.ctx, g.room, "is anybody there?")
	require.NoError(t, err)
	s.b.start(t)
	g.hasRead(ben, shown)
	third := g.reaches(ann, event, "is anybody there?")
	g.ghostRead(bob, g.shown(sent))
	g.acks(alice, third)
	g.ghostRead(alice, third)
	texts := []string{"hello from the app", "hello from Matrix", "first", "into the dark", "after the restart", "into the dark again", "is anybody there?"}
	g.roomHas(texts...)
	g.appHas(texts...)
}
