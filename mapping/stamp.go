package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/timbridge/timbridge/receipts"
)

// StampKey is the key in an event's content under which a message bridge says
// which Tencent message the event is.
const StampKey = "com.tencent.im"

// maxSeq is the largest number that fits the databases' integers.
const maxSeq = math.MaxInt64

// Stamp says which Tencent message an event is. Whether it is believed depends on
// who sent the event; that is not decided here.
type Stamp struct {
	GroupID         string
	MsgID           string // "" if not known
	Seq             receipts.MsgSeq
	NeedReadReceipt bool
}

type wireStamp struct {
	GroupID         string          `json:"group_id"`
	MsgID           string          `json:"msg_id,omitempty"`
	Seq             json.RawMessage `json:"seq"`
	NeedReadReceipt bool            `json:"need_read_receipt,omitempty"`
}

// ParseStamp reads the stamp in an event's content:
//
//	"com.tencent.im": {"group_id": "g1", "msg_id": "…", "seq": 7, "need_read_receipt": true}
//
// seq is a number or a string of digits (JavaScript has no 64-bit numbers),
// msg_id may be absent. ok is false if there is no stamp; an error means that there
// is one that makes no sense. Content that is no JSON object has no stamp.
func ParseStamp(content json.RawMessage) (stamp Stamp, ok bool, err error) {
	// Most events have none: look before parsing.
	if len(content) > maxContent || !bytes.Contains(content, []byte(StampKey)) {
		return Stamp{}, false, nil
	}
	var outer struct {
		Stamp json.RawMessage `json:"com.tencent.im"`
	}
	if json.Unmarshal(content, &outer) != nil || len(outer.Stamp) == 0 || bytes.Equal(outer.Stamp, []byte("null")) {
		return Stamp{}, false, nil
	}
	var wire wireStamp
	if err = json.Unmarshal(outer.Stamp, &wire); err != nil {
		return Stamp{}, false, fmt.Errorf("failed to parse stamp: %w", err)
	}
	stamp = Stamp{GroupID: wire.GroupID, MsgID: wire.MsgID, NeedReadReceipt: wire.NeedReadReceipt}
	if stamp.Seq, err = parseSeq(wire.Seq); err != nil {
		return Stamp{}, false, fmt.Errorf("failed to parse stamp: %w", err)
	} else if err = ValidateGroupID(stamp.GroupID); err != nil {
		return Stamp{}, false, fmt.Errorf("failed to parse stamp: %w", err)
	} else if stamp.MsgID != "" {
		if err = ValidateMsgID(stamp.MsgID); err != nil {
			return Stamp{}, false, fmt.Errorf("failed to parse stamp: %w", err)
		}
	}
	return stamp, true, nil
}

// MarshalStamp returns the stamp as the value for [StampKey].
func MarshalStamp(stamp Stamp) json.RawMessage {
	b, err := json.Marshal(wireStamp{
		GroupID: stamp.GroupID, MsgID: stamp.MsgID, NeedReadReceipt: stamp.NeedReadReceipt,
		Seq: json.RawMessage(strconv.FormatUint(uint64(stamp.Seq), 10)),
	})
	if err != nil {
		return nil // cannot happen: strings, digits and a bool always marshal
	}
	return b
}

func parseSeq(raw json.RawMessage) (receipts.MsgSeq, error) {
	digits := string(raw)
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &digits); err != nil {
			return 0, fmt.Errorf("%w seq: %w", ErrInvalid, err)
		}
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || seq == 0 || seq > maxSeq {
		return 0, fmt.Errorf("%w seq: it must be a number from 1 to %d", ErrInvalid, uint64(maxSeq))
	}
	return receipts.MsgSeq(seq), nil
}
