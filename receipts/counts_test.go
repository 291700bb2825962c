package receipts_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/receipts"
)

func TestCount(t *testing.T) {
	m := receipts.Message{Seq: 10, Sender: 1}
	read, unread := receipts.SetOf(10), receipts.SetOf(9, 11)
	here := receipts.Membership{{}}
	late := receipts.Membership{{JoinedSeq: 10}}
	gone := receipts.Membership{{Left: true, LeftSeq: 20}}
	back := receipts.Membership{{Left: true, LeftSeq: 20}, {JoinedSeq: 30}}
	away := receipts.Membership{{Left: true, LeftSeq: 5}, {JoinedSeq: 30}}
	tests := map[string]struct {
		who          receipts.Member
		read, unread int
	}{
		"sender":                         {receipts.Member{User: 1, Read: read, Membership: here}, 0, 0},
		"sender, not read":               {receipts.Member{User: 1, Read: unread, Membership: here}, 0, 0},
		"has read":                       {receipts.Member{User: 2, Read: read, Membership: here}, 1, 0},
		"has not":                        {receipts.Member{User: 2, Read: unread, Membership: here}, 0, 1},
		"bot has read":                   {receipts.Member{User: 2, Read: read, Membership: here, Bot: true}, 0, 0},
		"bot has not":                    {receipts.Member{User: 2, Membership: here, Bot: true}, 0, 0},
		"joined later":                   {receipts.Member{User: 2, Membership: late}, 0, 0},
		"joined later and has read":      {receipts.Member{User: 2, Read: read, Membership: late}, 1, 0},
		"left":                           {receipts.Member{User: 2, Membership: gone}, 0, 0},
		"left, had read":                 {receipts.Member{User: 2, Read: read, Membership: gone}, 1, 0},
		"left and came back":             {receipts.Member{User: 2, Membership: back}, 0, 1},
		"was away then":                  {receipts.Member{User: 2, Membership: away}, 0, 0},
		"has read, membership not known": {receipts.Member{User: 2, Read: read}, 1, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, u := receipts.Count(m, []receipts.Member{test.who})
			require.Equal(t, [2]int{test.read, test.unread}, [2]int{r, u})
		})
	}
	r, u := receipts.Count(receipts.Message{Seq: 10}, []receipts.Member{{User: 1, Read: read}, {User: 2, Membership: here}})
	require.Equal(t, [2]int{1, 1}, [2]int{r, u}, "an unknown sender is nobody in the group")
}

func drawMembers(t *rapid.T, n int) []receipts.Member {
	var members []receipts.Member
	for i := range n {
		members = append(members, receipts.Member{
			User: receipts.UserKey(i + 1), Name: fmt.Sprintf("u%d", i+1),
			Read:       receipts.SetOf(receipts.MsgSeq(rapid.IntRange(0, 1).Draw(t, "read") * 10)),
			Membership: receipts.Membership{{JoinedSeq: receipts.MsgSeq(rapid.IntRange(8, 10).Draw(t, "joined")), Left: rapid.Bool().Draw(t, "left"), LeftSeq: 50}},
			Bot:        rapid.IntRange(0, 5).Draw(t, "bot") == 0,
		})
	}
	return rapid.Permutation(members).Draw(t, "order")
}

// TestMemberPages: all pages together are those who are counted, each once, and
// stay so when somebody joins or reads between two pages.
func TestMemberPages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := drawMembers(t, rapid.IntRange(0, 12).Draw(t, "members"))
		m := receipts.Message{Seq: 10, Sender: receipts.UserKey(rapid.IntRange(0, 3).Draw(t, "sender"))}
		f := receipts.Filter(rapid.IntRange(0, 1).Draw(t, "filter"))
		count := rapid.IntRange(-1, 5).Draw(t, "count")
		read, unread := receipts.Count(m, members)
		want := map[receipts.Filter]int{receipts.FilterRead: read, receipts.FilterUnread: unread}[f]
		seen := make(map[string]bool)
		next, joined := uint64(0), 0
		for pages := 0; ; pages++ {
			require.LessOrEqual(t, pages, 40, "paging ends")
			page, nextSeq, finished := receipts.MemberPage(m, members, f, next, count)
			require.LessOrEqual(t, len(page), max(count, 1))
			for _, name := range page {
				require.False(t, seen[name], "%s is listed twice", name)
				seen[name] = true
			}
			if finished {
				require.Zero(t, nextSeq)
				break
			}
			require.Len(t, page, max(count, 1), "only the last page may be short")
			require.Less(t, len(seen), want+joined, "the last page says that it is")
			require.Greater(t, nextSeq, next)
			next = nextSeq
			if joined < 3 && rapid.Bool().Draw(t, "somebody joins") {
				joined++
				who := receipts.Member{User: receipts.UserKey(100 + joined), Name: fmt.Sprint("new", joined), Membership: receipts.Membership{{}}}
				if f == receipts.FilterRead {
					who.Read = receipts.SetOf(10)
				}
				members = append([]receipts.Member{who}, members...)
			}
		}
		require.Len(t, seen, want+joined)
	})
}

func TestMemberPageLimits(t *testing.T) {
	var members []receipts.Member
	for i := range 300 {
		members = append(members, receipts.Member{User: receipts.UserKey(i + 1), Name: fmt.Sprint(i + 1), Read: receipts.SetOf(10)})
	}
	page, next, finished := receipts.MemberPage(receipts.Message{Seq: 10}, members, receipts.FilterRead, 0, 1<<30)
	require.Len(t, page, receipts.MaxMemberPage)
	require.EqualValues(t, 200, next)
	require.False(t, finished)
	page, _, finished = receipts.MemberPage(receipts.Message{Seq: 10}, members, receipts.FilterRead, 1<<63, 100)
	require.Empty(t, page)
	require.True(t, finished)
	page, _, finished = receipts.MemberPage(receipts.Message{Seq: 10}, members, receipts.Filter(2), 0, 100)
	require.Empty(t, page)
	require.True(t, finished)
}
