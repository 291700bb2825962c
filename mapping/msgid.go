package mapping

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"

	"maunium.net/go/mautrix/id"
)

// Tencent's internal user numbers look like 144115233406643804: 18 digits
// (contract section 5). Ours stay within the same shape.
const (
	tinyIDBase = 144115188075855872 // 2^57, where Tencent's numbers start
	tinyIDSpan = 1 << 56            // 144115188075855872 + 2^56 still has 18 digits
)

// MsgID returns the message ID of a message that Tencent did not number, in the
// form of Tencent's own: "<number of the sender>-<unix seconds>-<random>". The
// same arguments give the same ID for ever, so that handling an event again
// changes nothing; two messages share one only if they have the same random, from
// the same sender in the same second. Times before 1970 count as 1970.
func MsgID(senderUserID string, at time.Time, random uint32) string {
	sum := sha256.Sum256([]byte("timbridge tinyid\x00" + senderUserID))
	tiny := tinyIDBase + binary.BigEndian.Uint64(sum[:])%tinyIDSpan
	b := make([]byte, 0, 42)
	b = strconv.AppendUint(b, tiny, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, max(at.Unix(), 0), 10)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(random), 10)
	return string(b)
}

// Random returns the MsgRandom of an event that Tencent did not number: 32 bits
// of its SHA-256.
func Random(eventID id.EventID) uint32 {
	sum := sha256.Sum256([]byte("timbridge random\x00" + eventID))
	return binary.BigEndian.Uint32(sum[:])
}
