package tencenttest

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestVariantsCoverAllPoints looks that no point has been forgotten.
func TestVariantsCoverAllPoints(t *testing.T) {
	seen := make(map[string]bool)
	names := make(map[string]bool)
	plain := reflect.ValueOf(Points{})
	for name, opts := range Variants(Options{SDKAppID: 7}) {
		require.False(t, names[name], name)
		names[name] = true
		require.Equal(t, uint64(7), opts.SDKAppID)
		changed := 0
		got := reflect.ValueOf(opts.Points)
		for i := range got.NumField() {
			if !got.Field(i).Equal(plain.Field(i)) {
				seen[got.Type().Field(i).Name] = true
				changed++
			}
		}
		switch {
		case name == "plain":
			require.Zero(t, changed)
		case strings.HasPrefix(name, "many"):
			require.Greater(t, changed, 5, name)
		default:
			require.Equal(t, 1, changed, name)
		}
	}
	for i := range plain.NumField() {
		name := plain.Type().Field(i).Name
		if name != "NoAckCommand" && name != "AddMax" { // the one ends everything, the other can only allow more
			require.True(t, seen[name], name)
		}
	}
	for range Variants(Options{}) {
		break // an iterator must bear it
	}
}

// TestEveryVariantWorks plays a small scene through all variants: what every reading agrees on.
func TestEveryVariantWorks(t *testing.T) {
	b := newBackend(t)
	for name, opts := range Variants(Options{Hook: Hook{URL: b.url}}) {
		t.Run(name, func(t *testing.T) {
			s := Start(t, opts)
			s.Group(t, "g", "alice", "bob", "carol")
			m := send(t, s, "alice", "g", "hi", wanted)
			require.NoError(t, s.User("bob").Ack("g", m.Seq))
			good(t, s, "group_open_http_svc/group_msg_receipt", obj{"GroupId": "g", "From_Account": "carol", "MsgSeqList": seqs(m.Seq)})
			require.Equal(t, []string{"bob", "carol"}, s.ReadBy("g", m.Seq))
			require.Empty(t, s.UnreadBy("g", m.Seq))
			require.NoError(t, s.WaitDelivered(t.Context()))
			for _, d := range s.Deliveries("") {
				require.NoError(t, d.Err)
				require.Equal(t, "OK", d.ActionStatus)
			}
		})
	}
}

// failing notes how a helper fails a test.
type failing struct {
	TB
	text string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, _ ...any) {
	f.text = format
	panic(f)
}

func TestHelpersFail(t *testing.T) {
	s := Start(t, Options{})
	f := &failing{}
	require.Panics(t, func() { Start(f, Options{Region: "atlantis"}) })
	require.Panics(t, func() { s.Group(f, "@TGS#mine") })
	require.Contains(t, f.text, "could not make group")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Wait(ctx, func() bool { return false }), context.Canceled)
	require.NoError(t, s.Wait(ctx, func() bool { return true }))
}
