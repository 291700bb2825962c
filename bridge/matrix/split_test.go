package matrix

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/id"
)

// deep returns a content of so many levels.
func deep(levels int) string {
	return `{"x":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
}

func deepEvent(event string, levels int) string {
	return strings.Replace(strings.Replace(goodEvent, "$e", event, 1), `"content":{}`, `"content":`+deep(levels), 1)
}

// TestAnEventTooDeepForATransactionIsDroppedAlone: a homeserver takes it, since by itself it can be read, and would send a
// transaction that is refused for ever.
func TestAnEventTooDeepForATransactionIsDroppedAlone(t *testing.T) {
	for _, levels := range []int{9_000, 9_997, 9_998, 9_999, 10_000, 15_000, 30_000} {
		body := `{"events":[` + deepEvent("$before", 2) + ", " + deepEvent("$deep", levels) + `,` + deepEvent("$after", 2) + `],"de.sorunome.msc2409.ephemeral":[` +
			pushedReceipt("@a:x") + `] }`
		var dropped []string
		txn, err := parseTransaction([]byte(body), func(what string, _ error) { dropped = append(dropped, what) })
		require.NoError(t, err, levels)
		var got []id.EventID
		for _, ev := range txn.events {
			if ev.ID != "$deep" { // which may be read where it can be
				got = append(got, ev.ID)
			}
		}
		require.Equal(t, []id.EventID{"$before", "$after"}, got, levels)
		require.Len(t, txn.receipts, 1)
		require.Equal(t, len(txn.events) == 2, len(dropped) == 1, "%d: %v", levels, dropped)
	}
	for _, body := range []string{
		strings.Repeat("[", 20_000), `{"a":` + strings.Repeat("[", 20_000), `{"events":` + strings.Repeat("[", 20_000) + "}", strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat("}", 19_999),
		`{"events":[` + deepEvent("$deep", 20_000) + `]`, `{"events":[` + deepEvent("$deep", 20_000) + `]]`,
	} {
		_, err := parseTransaction([]byte(body), func(string, error) {})
		require.Error(t, err)
	}
}

// FuzzSplit holds the splitting against encoding/json: what the one reads, the other reads alike.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, ` { "a" : 1 , "b":[1, {"c":"]\"}"}] } `, `[1,"a",null,true,{"b":[]},[[]] ]`, `{"a":1,"a":2}`, `[1 2]`, `{"a" 1}`, `[,]`, `{"a":}`, `["\\"]`, `["\"`,
		`{"events":[` + goodEvent + `]}`, `[1,]`, `]`, `{"a":[}`, `[-1.5e+3]`, `{"\u0061":1}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		obj, objErr := splitObject(raw)
		list, listErr := splitArray(raw)
		if objErr == nil && listErr == nil {
			t.Fatal("both an object and an array")
		}
		if !json.Valid(raw) {
			return // whatever it is, nothing broke
		}
		var wantObj map[string]json.RawMessage
		var wantList []json.RawMessage
		switch first := bytes.TrimLeft(raw, jsonSpace)[0]; first {
		case '{':
			require.NoError(t, objErr)
			require.NoError(t, json.Unmarshal(raw, &wantObj))
			require.Len(t, obj, len(wantObj))
			for key, want := range wantObj {
				require.Equal(t, string(want), string(obj[key]))
			}
		case '[':
			require.NoError(t, listErr)
			require.NoError(t, json.Unmarshal(raw, &wantList))
			require.Len(t, list, len(wantList))
			for i, want := range wantList {
				require.Equal(t, string(want), string(list[i]))
			}
		}
	})
}
