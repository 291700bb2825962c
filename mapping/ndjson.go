package mapping

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/receipts"
)

// RecordType is the kind of a line in an import file.
type RecordType string

// The kinds of records, in the order in which they are exported. A record may only
// name groups and users whose records came before it or that are known already.
const (
	RecordGroup   RecordType = "group"
	RecordUser    RecordType = "user"
	RecordMember  RecordType = "member"
	RecordMessage RecordType = "message"
)

// MaxRecord is how long a line may be, in bytes, its end not counted.
const MaxRecord = 64 << 10

// Record is one line of an import file: a JSON object with a "type" and the fields
// that go with it. Fields that are absent say nothing; unknown ones, and those of
// another type, are errors. Times are Unix milliseconds.
//
//	{"type":"group","group_id":"g1","room_id":"!a:example.com","seq_source":"own"}
//
// group: group_id and seq_source (own, stamped or cloud) are required. room_id is
// the room that it is mapped to now. group_type, name. last_seq is the highest number
// given, linked_pos the last place in the room that is older than the mapping (absent:
// not known), head the last place given in the room. to_matrix and to_tencent are the
// switches, true if absent.
//
//	{"type":"user","user_id":"bob","mxid":"@tim_bob:example.com","kind":"ghost"}
//
// user: user_id and kind (ghost, account or linked) are required, and mxid unless
// alias_of is given: the user_id of the linked user that this account was united into.
//
//	{"type":"member","group_id":"g1","user_id":"bob","joined_seq":12,"left_seq":40,"left_pos":51}
//
// member: one stay of a user in a group. joined_seq and joined_pos are the last
// message and place before it (joined_pos absent: not known); left_seq and left_pos
// the last of it, both absent while it goes on.
//
//	{"type":"message","group_id":"g1","seq":7,"event_id":"$e","msg_id":"144…-1727580296-42","sender":"bob","wants":"yes","at":1727580296000}
//
// message: group_id and seq are required. room_id is needed only if the event is not
// in the group's present room. pos is the place of the event, 0 if it
// has none yet; if it is absent, events get places in the order of the file, after those
// that the room has given. thread is the root event,
// sender a user_id, random Tencent's MsgRandom, wants yes or no, recalled, online_only.
type Record struct {
	Type RecordType `json:"type"`

	GroupID string `json:"group_id,omitempty"` // group, member, message
	UserID  string `json:"user_id,omitempty"`  // user, member

	RoomID     id.RoomID        `json:"room_id,omitempty"` // group, message
	SeqSource  SeqSource        `json:"seq_source,omitempty"`
	GroupType  string           `json:"group_type,omitempty"`
	Name       string           `json:"name,omitempty"`
	LastSeq    receipts.MsgSeq  `json:"last_seq,omitempty"`
	LinkedPos  *receipts.Pos    `json:"linked_pos,omitempty"`
	Head       receipts.Pos     `json:"head,omitempty"`
	ToMatrix   *bool            `json:"to_matrix,omitempty"`
	ToTencent  *bool            `json:"to_tencent,omitempty"`
	MXID       id.UserID        `json:"mxid,omitempty"`
	Kind       string           `json:"kind,omitempty"`
	AliasOf    string           `json:"alias_of,omitempty"`
	JoinedSeq  receipts.MsgSeq  `json:"joined_seq,omitempty"`
	JoinedPos  *receipts.Pos    `json:"joined_pos,omitempty"`
	LeftSeq    *receipts.MsgSeq `json:"left_seq,omitempty"`
	LeftPos    *receipts.Pos    `json:"left_pos,omitempty"`
	Seq        receipts.MsgSeq  `json:"seq,omitempty"`
	EventID    id.EventID       `json:"event_id,omitempty"`
	MsgID      string           `json:"msg_id,omitempty"`
	Pos        *receipts.Pos    `json:"pos,omitempty"`
	Thread     id.EventID       `json:"thread,omitempty"`
	Sender     string           `json:"sender,omitempty"`
	Random     *uint32          `json:"random,omitempty"`
	Wants      string           `json:"wants,omitempty"`
	Recalled   bool             `json:"recalled,omitempty"`
	OnlineOnly bool             `json:"online_only,omitempty"`
	At         *int64           `json:"at,omitempty"`
}

// ParseRecord reads a line and checks everything that can be checked without
// knowing other lines. Errors are mapping.ErrInvalid or of encoding/json.
func ParseRecord(line []byte) (rec Record, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err = dec.Decode(&rec); err != nil {
		return Record{}, fmt.Errorf("failed to parse record: %w", err)
	} else if _, err = dec.Token(); !errors.Is(err, io.EOF) {
		return Record{}, fmt.Errorf("%w record: something follows the JSON object", ErrInvalid)
	}
	return rec, rec.Validate()
}

// Validate checks a record by itself: required fields, forms and limits.
func (rec *Record) Validate() error {
	switch rec.Type {
	case RecordGroup:
		return rec.validateGroup()
	case RecordUser:
		return rec.validateUser()
	case RecordMember:
		return rec.validateMember()
	case RecordMessage:
		return rec.validateMessage()
	case "":
		return fmt.Errorf("%w record: it has no type", ErrInvalid)
	default:
		return fmt.Errorf("%w record: unknown type %q", ErrInvalid, rec.Type)
	}
}

// onlyHas checks that a record has no fields but those of want.
func (rec *Record) onlyHas(want Record) error {
	if want.Type = rec.Type; *rec != want {
		return fmt.Errorf("%w record: it has fields that a %s does not have", ErrInvalid, rec.Type)
	}
	return nil
}

func (rec *Record) validateGroup() error {
	err := rec.onlyHas(Record{
		GroupID: rec.GroupID, RoomID: rec.RoomID, SeqSource: rec.SeqSource, GroupType: rec.GroupType, Name: rec.Name, LastSeq: rec.LastSeq,
		LinkedPos: rec.LinkedPos, Head: rec.Head, ToMatrix: rec.ToMatrix, ToTencent: rec.ToTencent,
	})
	if err != nil {
		return err
	} else if err = ValidateGroup(Group{GroupID: rec.GroupID, RoomID: rec.RoomID, SeqSource: rec.SeqSource, Type: rec.GroupType, Name: rec.Name}); err != nil {
		return err
	} else if rec.LastSeq > maxSeq {
		return fmt.Errorf("%w last_seq: it is too large", ErrInvalid)
	} else if rec.Head < 0 || rec.LinkedPos != nil && *rec.LinkedPos < 0 {
		return fmt.Errorf("%w head or linked_pos: it is negative", ErrInvalid)
	} else if rec.RoomID == "" && (rec.LinkedPos != nil || rec.Head != 0) {
		return fmt.Errorf("%w head or linked_pos: there is no room_id", ErrInvalid)
	}
	return nil
}

func (rec *Record) validateUser() error {
	err := rec.onlyHas(Record{UserID: rec.UserID, MXID: rec.MXID, Kind: rec.Kind, AliasOf: rec.AliasOf})
	if err != nil {
		return err
	} else if err = ValidateUserID(rec.UserID); err != nil {
		return err
	} else if _, ok := ParseKind(rec.Kind); !ok {
		return fmt.Errorf("%w kind %q: it must be ghost, account or linked", ErrInvalid, rec.Kind)
	} else if rec.AliasOf == "" {
		return ValidateMXID(rec.MXID)
	} else if rec.MXID != "" || rec.Kind != receipts.KindAccount.String() {
		return fmt.Errorf("%w alias_of: an alias is of kind account and has no mxid", ErrInvalid)
	}
	return ValidateUserID(rec.AliasOf)
}

func (rec *Record) validateMember() error {
	err := rec.onlyHas(Record{GroupID: rec.GroupID, UserID: rec.UserID, JoinedSeq: rec.JoinedSeq, JoinedPos: rec.JoinedPos, LeftSeq: rec.LeftSeq, LeftPos: rec.LeftPos})
	if err != nil {
		return err
	} else if err = ValidateGroupID(rec.GroupID); err != nil {
		return err
	} else if err = ValidateUserID(rec.UserID); err != nil {
		return err
	} else if rec.JoinedSeq > maxSeq || rec.LeftSeq != nil && *rec.LeftSeq > maxSeq {
		return fmt.Errorf("%w joined_seq or left_seq: it is too large", ErrInvalid)
	} else if rec.JoinedPos != nil && *rec.JoinedPos < 0 || rec.LeftPos != nil && *rec.LeftPos < 0 {
		return fmt.Errorf("%w joined_pos or left_pos: it is negative", ErrInvalid)
	} else if rec.LeftSeq == nil && rec.LeftPos != nil {
		return fmt.Errorf("%w left_pos: there is no left_seq", ErrInvalid)
	} else if rec.LeftSeq != nil && *rec.LeftSeq < rec.JoinedSeq || rec.LeftPos != nil && rec.JoinedPos != nil && *rec.LeftPos < *rec.JoinedPos {
		return fmt.Errorf("%w member: he leaves before he joins", ErrInvalid)
	}
	return nil
}

func (rec *Record) validateMessage() error {
	err := rec.onlyHas(Record{
		GroupID: rec.GroupID, RoomID: rec.RoomID, Seq: rec.Seq, EventID: rec.EventID, MsgID: rec.MsgID, Pos: rec.Pos, Thread: rec.Thread, Sender: rec.Sender,
		Random: rec.Random, Wants: rec.Wants, Recalled: rec.Recalled, OnlineOnly: rec.OnlineOnly, At: rec.At,
	})
	if err != nil {
		return err
	} else if err = ValidateGroupID(rec.GroupID); err != nil {
		return err
	} else if rec.Seq == 0 || rec.Seq > maxSeq {
		return fmt.Errorf("%w seq: it must be from 1 to %d", ErrInvalid, uint64(maxSeq))
	} else if rec.Pos != nil && *rec.Pos < 0 {
		return fmt.Errorf("%w pos: it is negative", ErrInvalid)
	} else if rec.EventID == "" && (rec.Pos != nil || rec.RoomID != "" || rec.Thread != "") {
		return fmt.Errorf("%w message: it has a room_id, pos or thread but no event_id", ErrInvalid)
	} else if _, ok := ParseWants(rec.Wants); !ok {
		return fmt.Errorf("%w wants %q: it must be yes, no or absent", ErrInvalid, rec.Wants)
	}
	if rec.EventID != "" {
		err = ValidateEventID(rec.EventID)
	}
	if err == nil && rec.RoomID != "" {
		err = ValidateRoomID(rec.RoomID)
	}
	if err == nil && rec.Thread != "" {
		err = ValidateEventID(rec.Thread)
	}
	if err == nil && rec.Sender != "" {
		err = ValidateUserID(rec.Sender)
	}
	if err == nil && rec.MsgID != "" {
		err = ValidateMsgID(rec.MsgID)
	}
	return err
}
