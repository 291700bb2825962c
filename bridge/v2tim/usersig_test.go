package v2tim_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"
	"pgregory.net/rapid"

	"github.com/timbridge/timbridge/bridge/v2tim"
	"github.com/timbridge/timbridge/receipts"
)

func codeOf(t testing.TB, err error) receipts.Code {
	var coded *receipts.Error
	require.ErrorAs(t, err, &coded)
	return coded.Code
}

// pack makes a UserSig of any text.
func pack(t testing.TB, text []byte, level int) string {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	require.NoError(t, err)
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return strings.NewReplacer("+", "*", "/", "-", "=", "_").Replace(base64.StdEncoding.EncodeToString(b.Bytes()))
}

// unpack is the text in a UserSig.
func unpack(t testing.TB, sig string) []byte {
	raw, err := base64.StdEncoding.DecodeString(strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(sig))
	require.NoError(t, err)
	r, err := zlib.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = b.ReadFrom(r)
	require.NoError(t, err)
	return b.Bytes()
}

// edit changes fields of a UserSig without signing it again.
func edit(t testing.TB, sig string, change map[string]any) string {
	fields := make(map[string]any)
	require.NoError(t, json.Unmarshal(unpack(t, sig), &fields))
	for name, value := range change {
		fields[name] = value
	}
	text, err := json.Marshal(fields)
	require.NoError(t, err)
	return pack(t, text, zlib.DefaultCompression)
}

func TestGenUserSig(t *testing.T) {
	sig, err := v2tim.GenUserSig(appID, secret, "alice", time.Hour)
	require.NoError(t, err)
	require.NoError(t, tencentyun.VerifyUserSig(appID, secret, "alice", sig, time.Now()), "Tencent's library takes it")

	for name, f := range map[string]func() (string, error){
		"no secret":    func() (string, error) { return v2tim.GenUserSig(appID, "", "alice", time.Hour) },
		"no user":      func() (string, error) { return v2tim.GenUserSig(appID, secret, "", time.Hour) },
		"long user":    func() (string, error) { return v2tim.GenUserSig(appID, secret, strings.Repeat("x", 33), time.Hour) },
		"no app":       func() (string, error) { return v2tim.GenUserSig(0, secret, "alice", time.Hour) },
		"app too much": func() (string, error) { return v2tim.GenUserSig(math.MaxUint64, secret, "alice", time.Hour) },
		"no life":      func() (string, error) { return v2tim.GenUserSig(appID, secret, "alice", 0) },
		"too long":     func() (string, error) { return v2tim.GenUserSig(appID, secret, "alice", 51*365*24*time.Hour) },
	} {
		_, err = f()
		require.Error(t, err, name)
	}
}

func TestVerifyTakesWhatTheLibraryMakes(t *testing.T) {
	now := time.Now()
	stored, err := tencentyun.GenUserSig(appID, secret, "alice", 3600)
	require.NoError(t, err)
	withBuf, err := tencentyun.GenUserSigWithBuf(appID, secret, "alice", 3600, []byte("room 7"))
	require.NoError(t, err)
	room, err := tencentyun.GenPrivateMapKeyWithStringRoomID(appID, secret, "alice", 3600, strings.Repeat("r", 100), 255)
	require.NoError(t, err)
	for name, sig := range map[string]string{
		"stored": stored, "with userbuf": withBuf, "of a room": room,
		"compressed":              pack(t, unpack(t, stored), zlib.BestCompression),
		"compressed with userbuf": pack(t, unpack(t, withBuf), zlib.DefaultCompression),
		"fields in another order": edit(t, stored, nil),
		"with a field unknown":    edit(t, stored, map[string]any{"TLS.new": 1}),
	} {
		expires, err := v2tim.VerifyUserSig(appID, secret, "alice", sig, now)
		require.NoError(t, err, name)
		require.WithinDuration(t, now.Add(time.Hour), expires, 5*time.Second, name)
	}
}

// The vector was made by hand with `openssl dgst -sha256 -hmac` over the lines that
// contract-tencent.md section 6 gives, so that it does not lean on any library.
func TestVerifyFixedVector(t *testing.T) {
	text := []byte(`{"TLS.ver":"2.0","TLS.identifier":"bob","TLS.sdkappid":1400000000,"TLS.expire":86400,"TLS.time":1700000000,"TLS.sig":"` + fixedSig + `"}`)
	expires, err := v2tim.VerifyUserSig(1400000000, "0123456789abcdef", "bob", pack(t, text, zlib.BestSpeed), time.Unix(1700086400, 0))
	require.NoError(t, err, "the last second counts")
	require.Equal(t, time.Unix(1700086400, 0), expires)
	_, err = v2tim.VerifyUserSig(1400000000, "0123456789abcdef", "bob", pack(t, text, zlib.BestSpeed), time.Unix(1700086401, 0))
	require.Equal(t, receipts.CodeUserSigExpired, codeOf(t, err))
}

func TestVerifyRefuses(t *testing.T) {
	now := time.Now()
	good, err := v2tim.GenUserSig(appID, secret, "alice", time.Hour)
	require.NoError(t, err)
	bomb := pack(t, bytes.Repeat([]byte(" "), 2<<20), zlib.BestCompression)
	require.Less(t, len(bomb), 4097, "the bomb is small enough to be looked at")
	cases := map[string]struct {
		sig  string
		code receipts.Code
	}{
		"empty":                  {"", receipts.CodeUserSigIllegal},
		"too long":               {strings.Repeat("A", 4097), receipts.CodeUserSigIllegal},
		"not base64":             {"!!!!", receipts.CodeUserSigIllegal},
		"plain base64":           {strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(edit(t, good, map[string]any{"TLS.new": "???>>>???>>>"})), receipts.CodeUserSigIllegal},
		"line breaks":            {good[:10] + "\n" + good[10:], receipts.CodeUserSigIllegal},
		"not zlib":               {"AAAA", receipts.CodeUserSigIllegal},
		"cut off":                {good[:len(good)-8], receipts.CodeUserSigIllegal},
		"a bomb":                 {bomb, receipts.CodeUserSigIllegal},
		"not JSON":               {pack(t, []byte("{"), 1), receipts.CodeUserSigIllegal},
		"a list":                 {pack(t, []byte("[]"), 1), receipts.CodeUserSigIllegal},
		"wrong types":            {edit(t, good, map[string]any{"TLS.time": "now"}), receipts.CodeUserSigIllegal},
		"a time beyond 64 bits":  {edit(t, good, map[string]any{"TLS.time": 1e30}), receipts.CodeUserSigIllegal},
		"nothing signed":         {pack(t, []byte("{}"), 1), receipts.CodeUserSigWrongKey},
		"null":                   {pack(t, []byte("null"), 1), receipts.CodeUserSigWrongKey},
		"identifier changed":     {edit(t, good, map[string]any{"TLS.identifier": "mallory"}), receipts.CodeUserSigWrongKey},
		"app changed":            {edit(t, good, map[string]any{"TLS.sdkappid": 1}), receipts.CodeUserSigWrongKey},
		"life changed":           {edit(t, good, map[string]any{"TLS.expire": 1 << 40}), receipts.CodeUserSigWrongKey},
		"time changed":           {edit(t, good, map[string]any{"TLS.time": 1 << 40}), receipts.CodeUserSigWrongKey},
		"userbuf added":          {edit(t, good, map[string]any{"TLS.userbuf": "AAAA"}), receipts.CodeUserSigWrongKey},
		"signature short":        {edit(t, good, map[string]any{"TLS.sig": "AAAA"}), receipts.CodeUserSigWrongKey},
		"signature missing":      {edit(t, good, map[string]any{"TLS.sig": nil}), receipts.CodeUserSigWrongKey},
		"something stands after": {trailing(t, good), receipts.CodeUserSigIllegal},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := v2tim.VerifyUserSig(appID, secret, "alice", c.sig, now)
			require.Equal(t, c.code, codeOf(t, err), err)
		})
	}
}

func trailing(t testing.TB, sig string) string {
	raw, err := base64.StdEncoding.DecodeString(strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(sig))
	require.NoError(t, err)
	return strings.NewReplacer("+", "*", "/", "-", "=", "_").Replace(base64.StdEncoding.EncodeToString(append(raw, 'x')))
}

func TestVerifyRefusesMismatchInOrder(t *testing.T) {
	now := time.Now()
	sign := func(app uint64, user string) string {
		sig, err := v2tim.GenUserSig(app, secret, user, time.Hour)
		require.NoError(t, err)
		return sig
	}
	later := now.Add(3 * time.Hour)
	for name, c := range map[string]struct {
		sig    string
		secret string
		at     time.Time
		code   receipts.Code
	}{
		"all wrong":    {sign(1, "bob"), "other", later, receipts.CodeUserSigWrongKey},
		"user and app": {sign(1, "bob"), secret, later, receipts.CodeUserSigWrongUser},
		"app and time": {sign(1, "alice"), secret, later, receipts.CodeUserSigWrongApp},
		"time":         {sign(appID, "alice"), secret, later, receipts.CodeUserSigExpired},
	} {
		_, err := v2tim.VerifyUserSig(appID, c.secret, "alice", c.sig, c.at)
		require.Equal(t, c.code, codeOf(t, err), name)
	}
}

func TestUserSigLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		user := rapid.StringMatching(`[A-Za-z0-9_-]{1,32}`).Draw(t, "user")
		key := rapid.StringN(1, 64, -1).Draw(t, "key")
		app := rapid.Uint64Range(1, math.MaxInt32).Draw(t, "app")
		life := rapid.IntRange(1, 50*365*86400).Draw(t, "life")
		sig, err := v2tim.GenUserSig(app, key, user, time.Duration(life)*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		expires, err := v2tim.VerifyUserSig(app, key, user, sig, now)
		if err != nil {
			t.Fatalf("what was made does not verify: %v", err)
		}
		if d := expires.Sub(now); d > time.Duration(life)*time.Second || d < time.Duration(life-3)*time.Second {
			t.Fatalf("expires in %s, not in %d s", d, life)
		}
		// Any one character changed, it is refused.
		i := rapid.IntRange(0, len(sig)-1).Draw(t, "at")
		c := rapid.SampledFrom([]byte("ABCDxyz0189*-_")).Draw(t, "to")
		if changed := sig[:i] + string(c) + sig[i+1:]; changed != sig {
			if _, err = v2tim.VerifyUserSig(app, key, user, changed, now); err == nil {
				t.Fatalf("a change at %d is not noticed", i)
			}
		}
	})
}

// FuzzVerifyUserSig holds the verifier against Tencent's: what ours takes, theirs
// takes; what theirs takes and ours does not must be a spelling we refuse on
// purpose.
func FuzzVerifyUserSig(f *testing.F) {
	at := time.Unix(1700000000, 0)
	good, err := tencentyun.GenUserSig(appID, secret, "alice", math.MaxInt32)
	require.NoError(f, err)
	f.Add(good)
	f.Add(pack(f, unpack(f, good), zlib.BestCompression))
	f.Add(trailing(f, good))
	f.Add("")
	f.Add("eJwAAAD-*_")
	f.Fuzz(func(t *testing.T, sig string) {
		_, ours := v2tim.VerifyUserSig(appID, secret, "alice", sig, at)
		var coded *receipts.Error
		if ours != nil && !errors.As(ours, &coded) {
			t.Fatalf("an error without a code: %v", ours)
		}
		if len(sig) > 4096 {
			if ours == nil {
				t.Fatal("too long and taken")
			}
			return // theirs has no bound
		}
		theirs := tencentyun.VerifyUserSig(appID, secret, "alice", sig, at)
		if ours == nil && theirs != nil && !errors.Is(theirs, tencentyun.ErrUserBufTypeNotMatch) {
			t.Fatalf("taken against Tencent's %v", theirs)
		}
		if ours != nil && theirs == nil && !strings.ContainsAny(sig, "+/=\r\n") && coded.Code != receipts.CodeUserSigIllegal {
			t.Fatalf("refused with %v against Tencent's", ours)
		}
	})
}

const fixedSig = "0az67kAjOq0toF7oEuFj0PThAhM5GtFkDz0UstHyn1A="
