package mappingtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/timbridge/timbridge/mapping"
	"github.com/timbridge/timbridge/receipts"
)

func testGroups(t *testing.T, open func(t *testing.T) *bench) {
	t.Run("MapAndFind", func(t *testing.T) {
		b := open(t)
		b.append(roomA, 1, 2, 3)
		g, err := b.MapGroup(b.ctx, mapping.Group{GroupID: "@TGS#1 ä"[:7], RoomID: roomA, SeqSource: mapping.SeqSourceCloud, Type: "Public", Name: "Grüße"})
		require.NoError(t, err)
		require.Equal(t, mapping.Group{
			Key: g.Key, GroupID: "@TGS#1 ", RoomID: roomA, SeqSource: mapping.SeqSourceCloud, Type: "Public", Name: "Grüße",
			LinkedPos: 3, LinkedPosKnown: true, ToMatrix: true, ToTencent: true,
		}, g)
		require.Positive(t, g.Key)
		for _, find := range []func() (mapping.Group, error){
			func() (mapping.Group, error) { return b.GroupByID(b.ctx, "@TGS#1 ") },
			func() (mapping.Group, error) { return b.GroupByRoom(b.ctx, roomA) },
			func() (mapping.Group, error) { return b.GroupByKey(b.ctx, g.Key) },
			func() (mapping.Group, error) {
				return b.MapGroup(b.ctx, mapping.Group{GroupID: g.GroupID, RoomID: roomA, SeqSource: mapping.SeqSourceCloud})
			},
		} {
			found, err := find()
			require.NoError(t, err)
			require.Equal(t, g, found)
		}
	})
	t.Run("NotFound", func(t *testing.T) {
		b := open(t)
		_, err := b.GroupByID(b.ctx, "g")
		require.ErrorIs(t, err, mapping.ErrNotFound)
		_, err = b.GroupByRoom(b.ctx, roomA)
		require.ErrorIs(t, err, mapping.ErrNotFound)
		_, err = b.GroupByKey(b.ctx, 7)
		require.ErrorIs(t, err, mapping.ErrNotFound)
		require.ErrorIs(t, b.UnmapGroup(b.ctx, 7), mapping.ErrNotFound)
		require.ErrorIs(t, b.SetSwitches(b.ctx, 7, true, true), mapping.ErrNotFound)
		require.ErrorIs(t, b.MoveGroup(b.ctx, 7, roomA, 0), mapping.ErrNotFound)
		_, err = b.NextSeq(b.ctx, 7)
		require.ErrorIs(t, err, mapping.ErrNotFound)
	})
	t.Run("OneToOne", func(t *testing.T) {
		b := open(t)
		g := b.group("g1", roomA)
		_, err := b.MapGroup(b.ctx, mapping.Group{GroupID: "g1", RoomID: roomB, SeqSource: mapping.SeqSourceOwn})
		conflict(t, err, `group "g1" is already mapped to room !a:example.com`)
		_, err = b.MapGroup(b.ctx, mapping.Group{GroupID: "g2", RoomID: roomA, SeqSource: mapping.SeqSourceOwn})
		conflict(t, err, `room !a:example.com is already mapped to group "g1"`)
		_, err = b.GroupByID(b.ctx, "g2")
		require.ErrorIs(t, err, mapping.ErrNotFound, "the refused group must not be there")
		other := b.group("g2", roomB)
		conflict(t, b.MoveGroup(b.ctx, g.Key, roomB, 0), `room !b:example.com is already mapped to group "g2"`)
		require.NoError(t, b.UnmapGroup(b.ctx, other.Key))
		require.NoError(t, b.UnmapGroup(b.ctx, other.Key), "a second time")
		require.NoError(t, b.MoveGroup(b.ctx, g.Key, roomB, 5))
		require.NoError(t, b.MoveGroup(b.ctx, g.Key, roomB, 9), "there already")
		moved, err := b.GroupByKey(b.ctx, g.Key)
		require.NoError(t, err)
		require.Equal(t, roomB, moved.RoomID)
		require.Equal(t, receipts.Pos(5), moved.LinkedPos)
		_, err = b.MapGroup(b.ctx, mapping.Group{GroupID: "g2", RoomID: roomB, SeqSource: mapping.SeqSourceOwn})
		conflict(t, err, `room !b:example.com is already mapped to group "g1"`)
		b.group("g2", roomA)
	})
	t.Run("SchemaEnforcesIt", func(t *testing.T) {
		b := open(t)
		g1, g2 := b.group("g1", roomA), b.group("g2", roomB)
		_, err := b.db.Exec(b.ctx, `UPDATE tim_group SET room_key = (SELECT room_key FROM tim_group WHERE group_key = $1) WHERE group_key = $2`, g1.Key, g2.Key)
		require.Error(t, err)
		_, err = b.db.Exec(b.ctx, `INSERT INTO tim_group (group_id, seq_source, type, name) VALUES ('g1', 'own', '', '')`)
		require.Error(t, err)
	})
	t.Run("SeqSource", func(t *testing.T) {
		b := open(t)
		cloud := mapping.Group{GroupID: "g", RoomID: roomA, SeqSource: mapping.SeqSourceCloud}
		g, err := b.MapGroup(b.ctx, cloud)
		require.NoError(t, err)
		b.put(message(g, 41, 0))
		own := cloud
		own.SeqSource = mapping.SeqSourceOwn
		g, err = b.MapGroup(b.ctx, own)
		require.NoError(t, err)
		require.Equal(t, mapping.SeqSourceOwn, g.SeqSource)
		next, err := b.NextSeq(b.ctx, g.Key)
		require.NoError(t, err)
		require.Equal(t, receipts.MsgSeq(42), next, "numbers go on where Tencent stopped")
		for _, back := range []mapping.SeqSource{mapping.SeqSourceCloud, mapping.SeqSourceStamped} {
			cloud.SeqSource = back
			_, err = b.MapGroup(b.ctx, cloud)
			conflict(t, err, `group "g" is already known with seq source own, which cannot become `+string(back))
		}
	})
	t.Run("Invalid", func(t *testing.T) {
		b := open(t)
		for name, g := range map[string]mapping.Group{
			"no id":      {RoomID: roomA, SeqSource: mapping.SeqSourceOwn},
			"long id":    {GroupID: strings.Repeat("x", 49), RoomID: roomA, SeqSource: mapping.SeqSourceOwn},
			"bad room":   {GroupID: "g", RoomID: "#a:b", SeqSource: mapping.SeqSourceOwn},
			"bad source": {GroupID: "g", RoomID: roomA, SeqSource: "mine"},
			"long name":  {GroupID: "g", RoomID: roomA, SeqSource: mapping.SeqSourceOwn, Name: strings.Repeat("x", 1001)},
		} {
			_, err := b.MapGroup(b.ctx, g)
			require.ErrorIs(t, err, mapping.ErrInvalid, name)
		}
		require.ErrorIs(t, b.MoveGroup(b.ctx, 1, "a", 0), mapping.ErrInvalid)
	})
	t.Run("Pages", func(t *testing.T) {
		b := open(t)
		for _, groupID := range []string{"c", "B", "a", "@x"} {
			b.group(groupID, "")
		}
		var all []string
		for after := ""; ; {
			page, err := b.Groups(b.ctx, after, 3)
			require.NoError(t, err)
			for _, g := range page {
				all = append(all, g.GroupID)
				require.Empty(t, g.RoomID)
				require.False(t, g.LinkedPosKnown)
			}
			if len(page) < 3 {
				break
			}
			after = page[2].GroupID
		}
		require.Equal(t, []string{"@x", "B", "a", "c"}, all, "by bytes, on every database")
	})
	t.Run("Seqs", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		for want := receipts.MsgSeq(1); want < 4; want++ {
			seq, err := b.NextSeq(b.ctx, g.Key)
			require.NoError(t, err)
			require.Equal(t, want, seq)
		}
		first, err := b.NextSeqs(b.ctx, g.Key, 10)
		require.NoError(t, err)
		require.Equal(t, receipts.MsgSeq(4), first)
		_, err = b.NextSeqs(b.ctx, g.Key, 0)
		require.ErrorIs(t, err, mapping.ErrInvalid)
		b.put(message(g, 7, 0))
		g, err = b.GroupByKey(b.ctx, g.Key)
		require.NoError(t, err)
		require.Equal(t, receipts.MsgSeq(13), g.LastSeq)
	})
	t.Run("SwitchesAndCounts", func(t *testing.T) {
		b := open(t)
		g := b.group("g", roomA)
		b.group("h", "")
		require.NoError(t, b.SetSwitches(b.ctx, g.Key, false, true))
		b.ghost("bob")
		b.put(message(g, 1, 0), message(g, 2, 5))
		b.put(message(g, 2, 5), message(g, 3, 0))
		g, err := b.GroupByKey(b.ctx, g.Key)
		require.NoError(t, err)
		require.False(t, g.ToMatrix)
		require.True(t, g.ToTencent)
		counts, err := b.Counts(b.ctx)
		require.NoError(t, err)
		require.Equal(t, mapping.Counts{Groups: 2, Mapped: 1, Messages: 3, Users: 1}, counts)
	})
}
