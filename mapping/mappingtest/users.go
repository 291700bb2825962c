package mappingtest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

const alice = id.UserID("@alice:example.com")

func testUsers(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("Find", func(t *testing.T) {
		b := open(t)
		bob, account := b.ghost("Bob_1"), b.account(alice)
		require.NotEqual(t, bob.Key, account.Key)
		require.Equal(t, mapping.User{Key: bob.Key, UserID: "Bob_1", MXID: "@tim__bob__1:example.com", Kind: receipts.KindGhost}, bob)
		require.Equal(t, bob, b.ghost("Bob_1"), "a second time")
		got, err := b.UserByID(b.ctx, "Bob_1")
		require.NoError(t, err)
		require.Equal(t, bob, got)
		got, err = b.UserByMXID(b.ctx, alice)
		require.NoError(t, err)
		require.Equal(t, account, got)
		_, err = b.UserByID(b.ctx, "bob_1")
		require.ErrorIs(t, err, mapping.ErrNotFound, "case matters")
		_, err = b.UserByMXID(b.ctx, "@x:y")
		require.ErrorIs(t, err, mapping.ErrNotFound)
		byMXID, err := b.UsersByMXID(b.ctx, []id.UserID{alice, alice, "@x:y", bob.MXID})
		require.NoError(t, err)
		require.Equal(t, map[id.UserID]mapping.User{alice: account, bob.MXID: bob}, byMXID)
		byKey, err := b.UsersByKey(b.ctx, []mapping.UserKey{bob.Key, 999})
		require.NoError(t, err)
		require.Equal(t, map[mapping.UserKey]mapping.User{bob.Key: bob}, byKey)
		byID, err := b.UsersByID(b.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, byID)
	})
	t.Run("OneToOne", func(t *testing.T) {
		b := open(t)
		b.ghost("bob")
		_, err := b.EnsureUser(b.ctx, mapping.User{UserID: "bob", MXID: "@other:example.com", Kind: receipts.KindGhost})
		conflict(t, err, `user "bob" is already known as @tim_bob:example.com`)
		_, err = b.EnsureUser(b.ctx, mapping.User{UserID: "carol", MXID: "@tim_bob:example.com", Kind: receipts.KindGhost})
		conflict(t, err, `MXID @tim_bob:example.com is already that of user "bob"`)
		_, err = b.EnsureUser(b.ctx, mapping.User{UserID: "bob", MXID: "@tim_bob:example.com", Kind: receipts.KindAccount})
		conflict(t, err, `user "bob" is already known as ghost, not account`)
		// One bad user: none is made.
		_, err = b.EnsureUsers(b.ctx, []mapping.User{
			{UserID: "dave", MXID: "@tim_dave:example.com"}, {UserID: "eve", MXID: "@tim_dave:example.com"},
		})
		conflict(t, err, `MXID @tim_dave:example.com is already that of user "dave"`)
		_, err = b.UserByID(b.ctx, "dave")
		require.ErrorIs(t, err, mapping.ErrNotFound)
		_, err = b.db.Exec(b.ctx, `INSERT INTO tim_user (user_id, mxid, kind) VALUES ('x', '@tim_bob:example.com', 0)`)
		require.Error(t, err, "the schema enforces it too")
	})
	t.Run("Invalid", func(t *testing.T) {
		b := open(t)
		for name, u := range map[string]mapping.User{
			"no user ID": {MXID: alice},
			"bad char":   {UserID: "a b", MXID: alice},
			"no MXID":    {UserID: "a"},
			"bad MXID":   {UserID: "a", MXID: "alice"},
			"linked":     {UserID: "a", MXID: alice, Kind: receipts.KindLinked},
		} {
			_, err := b.EnsureUser(b.ctx, u)
			require.ErrorIs(t, err, mapping.ErrInvalid, name)
		}
	})
	t.Run("Many", func(t *testing.T) {
		b := open(t)
		us := make([]mapping.User, 1234)
		for i := range us {
			us[i].UserID = string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
			us[i].MXID = mapping.GhostMXID("t_", us[i].UserID, "x")
		}
		us = append(us, us[0])
		found, err := b.EnsureUsers(b.ctx, us)
		require.NoError(t, err)
		require.Equal(t, found[0], found[1234])
		for i, u := range found {
			require.Equal(t, us[i].UserID, u.UserID)
			require.Positive(t, u.Key)
		}
		counts, err := b.Counts(b.ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1234, counts.Users)
	})
}

func testLinks(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("LinkAndUnlink", func(t *testing.T) {
		b := open(t)
		bob, account := b.ghost("bob"), b.account(alice)
		linked, alias, err := b.LinkUser(b.ctx, "bob", alice)
		require.NoError(t, err)
		require.Equal(t, mapping.User{Key: bob.Key, UserID: "bob", MXID: alice, Kind: receipts.KindLinked}, linked)
		require.Equal(t, mapping.User{Key: account.Key, UserID: account.UserID, Kind: receipts.KindAccount, AliasOf: bob.Key}, alias)
		require.Equal(t, bob.Key, alias.Person())
		require.Equal(t, bob.Key, linked.Person())
		again, alias2, err := b.LinkUser(b.ctx, "bob", alice)
		require.NoError(t, err)
		require.Equal(t, linked, again)
		require.Equal(t, alias, alias2)
		got, err := b.UserByMXID(b.ctx, alice)
		require.NoError(t, err)
		require.Equal(t, linked, got)
		// Whoever still knows them by their old names gets them as they are.
		require.Equal(t, linked, b.ghost("bob"))
		got, err = b.EnsureUser(b.ctx, mapping.User{UserID: account.UserID, MXID: alice, Kind: receipts.KindAccount})
		require.NoError(t, err)
		require.Equal(t, alias, got)

		user, back, err := b.UnlinkUser(b.ctx, "bob", bob.MXID)
		require.NoError(t, err)
		require.Equal(t, bob, user)
		require.Equal(t, account, back)
		user, back, err = b.UnlinkUser(b.ctx, "bob", bob.MXID)
		require.NoError(t, err)
		require.Equal(t, bob, user)
		require.Zero(t, back)
	})
	t.Run("WithoutAccount", func(t *testing.T) {
		b := open(t)
		linked, account, err := b.LinkUser(b.ctx, "new", alice)
		require.NoError(t, err)
		require.Zero(t, account)
		require.Equal(t, mapping.User{Key: linked.Key, UserID: "new", MXID: alice, Kind: receipts.KindLinked}, linked)
		_, err = b.EnsureUser(b.ctx, mapping.User{UserID: mapping.AccountID(alice), MXID: alice, Kind: receipts.KindAccount})
		conflict(t, err, `MXID @alice:example.com is already that of user "new"`)
		user, account, err := b.UnlinkUser(b.ctx, "new", "@tim_new:example.com")
		require.NoError(t, err)
		require.Zero(t, account)
		require.Equal(t, receipts.KindGhost, user.Kind)
	})
	t.Run("Refused", func(t *testing.T) {
		b := open(t)
		b.ghost("bob")
		b.ghost("carol")
		account := b.account("@dave:example.com")
		_, _, err := b.LinkUser(b.ctx, "bob", alice)
		require.NoError(t, err)
		_, _, err = b.LinkUser(b.ctx, "bob", "@other:example.com")
		conflict(t, err, `user "bob" is already linked with @alice:example.com`)
		_, _, err = b.LinkUser(b.ctx, "carol", alice)
		conflict(t, err, `MXID @alice:example.com is already linked with user "bob"`)
		_, _, err = b.LinkUser(b.ctx, "bob2", "@tim_carol:example.com")
		conflict(t, err, `MXID @tim_carol:example.com is already the ghost of user "carol"`)
		_, err = b.UserByID(b.ctx, "bob2")
		require.ErrorIs(t, err, mapping.ErrNotFound)
		_, _, err = b.LinkUser(b.ctx, account.UserID, "@x:example.com")
		require.ErrorIs(t, err, mapping.ErrInvalid)
		_, _, err = b.LinkUser(b.ctx, "bob", "alice")
		require.ErrorIs(t, err, mapping.ErrInvalid)
		_, _, err = b.LinkUser(b.ctx, "", alice)
		require.ErrorIs(t, err, mapping.ErrInvalid)
		_, _, err = b.UnlinkUser(b.ctx, "nobody", "@tim_nobody:example.com")
		require.ErrorIs(t, err, mapping.ErrNotFound)
		_, _, err = b.UnlinkUser(b.ctx, "bob", "@tim_carol:example.com")
		conflict(t, err, `MXID @tim_carol:example.com is already that of user "carol"`)
		_, _, err = b.UnlinkUser(b.ctx, "bob", "x")
		require.ErrorIs(t, err, mapping.ErrInvalid)
	})
	t.Run("SenderIsThePerson", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		bob, account := b.ghost("bob"), b.account(alice)
		mine := message(g, 1, 1)
		mine.Sender, mine.Random, mine.HasRandom, mine.At = account.Key, 77, true, clock
		b.put(mine)
		require.Equal(t, account.Key, b.bySeq(g, 1).Sender)
		_, _, err := b.LinkUser(b.ctx, "bob", alice)
		require.NoError(t, err)
		require.Equal(t, bob.Key, b.bySeq(g, 1).Sender)
		found, err := b.MessageByRandom(b.ctx, g.Key, bob.Key, 77, clock)
		require.NoError(t, err)
		require.Equal(t, receipts.MsgSeq(1), found.Seq)
		_, _, err = b.UnlinkUser(b.ctx, "bob", bob.MXID)
		require.NoError(t, err)
		require.Equal(t, account.Key, b.bySeq(g, 1).Sender)
	})
}
