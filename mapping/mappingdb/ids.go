package mappingdb

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// Event IDs and message IDs make up most of a message's size, in its row and again
// in an index. Both have a usual form that is a number written out: an event ID is
// "$" and the base64 of a SHA-256 (room versions 3 and up), a msgID is three
// decimal numbers. These are stored as what they are, anything else as it is
// written. The first byte tells the forms apart, and each ID has exactly one
// stored form: what is unique stored is unique written.
const (
	asText    = 0 // the ID follows
	asURLHash = 1 // "$" + 43 characters of unpadded URL-safe base64; 32 bytes follow (room versions 4 and up)
	asStdHash = 2 // same, of standard base64 (room version 3)
	// asThreeParts is "tiny-time-random", a uint64 and two uint32; 16 bytes follow, time
	// and random first: in the order of time a new message goes to the end of the index,
	// where pages are full and in memory.
	asThreeParts = 3
	hashChars    = 43
)

// packEvent returns the stored form of an event ID; nil for "".
func packEvent(eventID string) []byte {
	if eventID == "" {
		return nil
	}
	if len(eventID) == 1+hashChars && eventID[0] == '$' {
		form, enc := byte(asURLHash), base64.RawURLEncoding
		if strings.ContainsAny(eventID, "+/") {
			form, enc = asStdHash, base64.RawStdEncoding
		}
		out := make([]byte, 1+32)
		out[0] = form
		// Strict: the last character has bits to spare, which must be 0 to come back.
		// The decoder skips line breaks; then it has less than 32 bytes.
		if n, err := enc.Strict().Decode(out[1:], []byte(eventID[1:])); err == nil && n == 32 {
			return out
		}
	}
	return append([]byte{asText}, eventID...)
}

// unpackEvent is the inverse of packEvent. Damaged input gives something that is
// no event ID.
func unpackEvent(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case b[0] == asURLHash:
		return "$" + base64.RawURLEncoding.EncodeToString(b[1:])
	case b[0] == asStdHash:
		return "$" + base64.RawStdEncoding.EncodeToString(b[1:])
	default:
		return string(b[1:])
	}
}

// packMsgID returns the stored form of a message ID; nil for "".
func packMsgID(msgID string) []byte {
	if msgID == "" {
		return nil
	}
	if tiny, rest, ok := strings.Cut(msgID, "-"); ok {
		if at, random, ok := strings.Cut(rest, "-"); ok {
			a, okA := canonical(tiny, math.MaxUint64)
			b, okB := canonical(at, math.MaxUint32)
			c, okC := canonical(random, math.MaxUint32)
			if okA && okB && okC {
				out := make([]byte, 1, 17)
				out[0] = asThreeParts
				out = binary.BigEndian.AppendUint32(out, uint32(b))
				out = binary.BigEndian.AppendUint32(out, uint32(c))
				return binary.BigEndian.AppendUint64(out, a)
			}
		}
	}
	return append([]byte{asText}, msgID...)
}

// unpackMsgID is the inverse of packMsgID.
func unpackMsgID(b []byte) string {
	switch {
	case len(b) == 0:
		return ""
	case b[0] == asThreeParts && len(b) == 17:
		out := make([]byte, 0, 42)
		out = strconv.AppendUint(out, binary.BigEndian.Uint64(b[9:]), 10)
		out = append(out, '-')
		out = strconv.AppendUint(out, uint64(binary.BigEndian.Uint32(b[1:])), 10)
		out = append(out, '-')
		return string(strconv.AppendUint(out, uint64(binary.BigEndian.Uint32(b[5:])), 10))
	default:
		return string(b[1:])
	}
}

// canonical parses a decimal number that is written as FormatUint would write it.
func canonical(digits string, most uint64) (uint64, bool) {
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n <= most && (digits == "0" || digits[0] != '0')
}
