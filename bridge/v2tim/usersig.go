package v2tim

import (
	"bytes"
	"compress/zlib"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"github.com/timbridge/timbridge/receipts"
)

// Bounds of a UserSig. One made by Tencent's libraries has about 180 characters
// compressed and 400 stored; userbuf (room rights of TRTC) adds up to a few
// hundred. What is larger is refused before anything is decoded.
const (
	maxUserSig     = 4096 // characters
	maxUserSigJSON = 8192 // bytes after decompression
	maxIdentifier  = 32   // bytes of a UserID (contract-tencent.md section 5)

	maxUserSigLife = 50 * 365 * 24 * time.Hour // Tencent: at most 50 years
)

// GenUserSig makes the UserSig of a user, valid from now for expire (full
// seconds; at most 50 years). It is Tencent's own library's.
func GenUserSig(sdkAppID uint64, secretKey, userID string, expire time.Duration) (string, error) {
	switch {
	case secretKey == "":
		return "", errors.New("failed to make usersig: no secret key")
	case userID == "" || len(userID) > maxIdentifier:
		return "", fmt.Errorf("failed to make usersig: a user ID has 1 to %d bytes", maxIdentifier)
	case sdkAppID == 0 || sdkAppID > math.MaxInt32:
		return "", fmt.Errorf("failed to make usersig: sdkappid %d out of range", sdkAppID)
	case expire < time.Second || expire > maxUserSigLife:
		return "", fmt.Errorf("failed to make usersig: a life of %s out of range", expire)
	}
	sig, err := tencentyun.GenUserSig(int(sdkAppID), secretKey, userID, int(expire/time.Second))
	if err != nil {
		return "", fmt.Errorf("failed to make usersig: %w", err)
	}
	return sig, nil
}

// VerifyUserSig checks a UserSig and returns when it expires. Errors are
// [*receipts.Error]: 70003 unreadable, 70009 not made with this secret, 70013 of
// another user, 70014 of another app, 70001 expired, in this order: nothing a
// document says is used before its signature has been found right.
//
// Tencent's library has a VerifyUserSig too, which does not fit a server: it
// decompresses without a bound, compares in variable time, looks at fields before
// the signature, and refuses a userbuf that the caller does not know. Tests hold
// the two against each other.
func VerifyUserSig(sdkAppID uint64, secretKey, userID, userSig string, now time.Time) (expires time.Time, err error) {
	v := userSigVerifier{sdkAppID: sdkAppID, secret: []byte(secretKey)}
	return v.verify(userID, userSig, now)
}

// userSigVerifier verifies UserSigs of one app; it keeps the decompressors, which
// are most of the cost. Safe for concurrent use.
type userSigVerifier struct {
	sdkAppID uint64
	secret   []byte
	readers  sync.Pool // of io.ReadCloser that are zlib.Resetters
}

func (v *userSigVerifier) verify(userID, userSig string, now time.Time) (time.Time, error) {
	doc, err := v.parse(userSig)
	if err != nil {
		return time.Time{}, refuse(receipts.CodeUserSigIllegal, "usersig is not readable")
	}
	if !hmac.Equal(doc.sign(v.secret), doc.Sig) {
		return time.Time{}, refuse(receipts.CodeUserSigWrongKey, "usersig was not made with the secret key of this app")
	}
	if doc.Identifier != userID {
		return time.Time{}, refuse(receipts.CodeUserSigWrongUser, "usersig belongs to another identifier")
	}
	if doc.SDKAppID != v.sdkAppID {
		return time.Time{}, refuse(receipts.CodeUserSigWrongApp, "usersig belongs to another sdkappid")
	}
	if now.Unix() > doc.expiry() {
		return time.Time{}, refuse(receipts.CodeUserSigExpired, "usersig has expired")
	}
	return time.Unix(doc.expiry(), 0), nil
}

// parse unpacks base64, zlib and JSON, each within its bound.
func (v *userSigVerifier) parse(userSig string) (userSigDoc, error) {
	packed, err := decodeUserSigBase64(userSig)
	if err != nil {
		return userSigDoc{}, err
	}
	text, err := v.inflate(packed)
	if err != nil {
		return userSigDoc{}, err
	}
	var doc userSigDoc
	if err = json.Unmarshal(text, &doc); err != nil {
		return userSigDoc{}, fmt.Errorf("failed to parse usersig: %w", err)
	}
	return doc, nil
}

// decodeUserSigBase64 decodes base64 in which Tencent has put * - _ in place of
// + / =, which mean something in a URL; those are refused, so that one signature
// has one spelling.
func decodeUserSigBase64(userSig string) ([]byte, error) {
	if userSig == "" || len(userSig) > maxUserSig {
		return nil, fmt.Errorf("failed to decode usersig: length %d", len(userSig))
	}
	std := []byte(userSig)
	for i, c := range std {
		switch c {
		case '*':
			std[i] = '+'
		case '-':
			std[i] = '/'
		case '_':
			std[i] = '='
		case '+', '/', '=', '\r', '\n':
			return nil, fmt.Errorf("failed to decode usersig: stray %q", c)
		}
	}
	n, err := base64.StdEncoding.Strict().Decode(std, std)
	if err != nil {
		return nil, fmt.Errorf("failed to decode usersig: %w", err)
	}
	return std[:n], nil
}

// inflate decompresses at most maxUserSigJSON bytes and insists on the checksum
// and on nothing standing behind it.
func (v *userSigVerifier) inflate(packed []byte) ([]byte, error) {
	src := bytes.NewReader(packed)
	r, _ := v.readers.Get().(io.ReadCloser)
	var err error
	if z, ok := r.(zlib.Resetter); ok {
		err = z.Reset(src, nil)
	} else {
		r, err = zlib.NewReader(src)
	}
	if err != nil {
		return nil, fmt.Errorf("failed to open usersig: %w", err)
	}
	defer v.readers.Put(r)
	text, err := io.ReadAll(io.LimitReader(r, maxUserSigJSON+1))
	if err != nil {
		return nil, fmt.Errorf("failed to decompress usersig: %w", err)
	}
	if len(text) > maxUserSigJSON || src.Len() > 0 {
		return nil, errors.New("failed to decompress usersig: too much data")
	}
	return text, nil
}

// userSigDoc is what a UserSig says, once unpacked.
type userSigDoc struct {
	Identifier string `json:"TLS.identifier"`
	SDKAppID   uint64 `json:"TLS.sdkappid"`
	Expire     int64  `json:"TLS.expire"` // seconds after Time
	Time       int64  `json:"TLS.time"`   // Unix seconds
	UserBuf    []byte `json:"TLS.userbuf"`
	Sig        []byte `json:"TLS.sig"`
}

// sign computes what Sig must be: the HMAC over the fields as lines. That a field
// with a line break could pass for two is harmless as long as identifiers with
// control characters are never accepted; authenticate sees to that.
func (d userSigDoc) sign(secret []byte) []byte {
	b := make([]byte, 0, 256)
	b = append(append(b, "TLS.identifier:"...), d.Identifier...)
	b = strconv.AppendUint(append(b, "\nTLS.sdkappid:"...), d.SDKAppID, 10)
	b = strconv.AppendInt(append(b, "\nTLS.time:"...), d.Time, 10)
	b = strconv.AppendInt(append(b, "\nTLS.expire:"...), d.Expire, 10)
	b = append(b, '\n')
	if d.UserBuf != nil {
		b = base64.StdEncoding.AppendEncode(append(b, "TLS.userbuf:"...), d.UserBuf)
		b = append(b, '\n')
	}
	h := hmac.New(sha256.New, secret)
	h.Write(b)
	return h.Sum(nil)
}

// expiry is the last second at which the signature counts, in Unix seconds.
func (d userSigDoc) expiry() int64 {
	if d.Expire > 0 && d.Time > math.MaxInt64-d.Expire {
		return math.MaxInt64
	}
	return d.Time + d.Expire
}
