package mapping

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"

	"maunium.net/go/mautrix/id"
)

// Limits of names.
const (
	// MaxGroupID is the length of a group ID in bytes. Source: https://trtc.io/zh/document/34381.
	MaxGroupID = 48
	// MaxUserID is the length of a Tencent UserID in bytes. Source: same page.
	MaxUserID = 32
	// MaxMatrixID is the length of a Matrix user, room or event ID in bytes.
	// Source: https://spec.matrix.org/v1.19/appendices/#identifier-grammar.
	MaxMatrixID = 255
	// MaxMsgID bounds the message IDs of Tencent. The known form has at most 42
	// bytes; no limit is documented.
	MaxMsgID = 128
	// MaxGroupName bounds the name and type of a group, in bytes. Tencent allows 100 at
	// most; rooms may be named longer.
	MaxGroupName = 1000
	// accountPrefix starts the UserID of every account made for a Matrix user.
	accountPrefix = "mx_"
)

// GhostMXID returns the MXID of the Matrix user that stands for a Tencent user.
// Letters and signs that an MXID cannot hold are encoded
// (https://spec.matrix.org/v1.19/appendices/#mapping-from-other-character-sets).
func GhostMXID(prefix, userID, domain string) id.UserID {
	return id.NewUserID(prefix+id.EncodeUserLocalpart(userID), domain)
}

// ParseGhost returns the Tencent user that a ghost stands for. ok is false if the
// MXID is not one that [GhostMXID] makes with this prefix and domain.
func ParseGhost(prefix, domain string, mxid id.UserID) (userID string, ok bool) {
	rest, ok := strings.CutPrefix(string(mxid), "@"+prefix)
	if !ok {
		return "", false
	}
	encoded, ok := strings.CutSuffix(rest, ":"+domain)
	if !ok {
		return "", false
	}
	userID, err := id.DecodeUserLocalpart(encoded)
	// Only the one encoding that we make ourselves: else two MXIDs were one user.
	if err != nil || ValidateUserID(userID) != nil || GhostMXID(prefix, userID, domain) != mxid {
		return "", false
	}
	return userID, true
}

// AccountID returns the Tencent UserID of the account that stands for a Matrix
// user: mx_ and 26 characters of the base32 of the MXID's SHA-256, lower case. An
// MXID itself is too long for a UserID. 130 bits: no two users share one.
func AccountID(mxid id.UserID) string {
	sum := sha256.Sum256([]byte(mxid))
	return accountPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:26])
}

// ValidateGroupID checks a group ID: 1 to 48 bytes of printable ASCII (0x20 to
// 0x7e). Tencent's own IDs start with @TGS# and are as good as chosen ones.
func ValidateGroupID(groupID string) error {
	if groupID == "" {
		return fmt.Errorf("%w group ID: it is empty", ErrInvalid)
	} else if len(groupID) > MaxGroupID {
		return fmt.Errorf("%w group ID: %d bytes, at most %d are allowed", ErrInvalid, len(groupID), MaxGroupID)
	}
	for i := range len(groupID) {
		if groupID[i] < 0x20 || groupID[i] > 0x7e {
			return fmt.Errorf("%w group ID: byte %d is not printable ASCII", ErrInvalid, i+1)
		}
	}
	return nil
}

// ValidateGroup checks everything about a group that can be checked by itself.
func ValidateGroup(g Group) error {
	if err := ValidateGroupID(g.GroupID); err != nil {
		return err
	} else if !g.SeqSource.Valid() {
		return fmt.Errorf("%w seq source %q: it must be own, stamped or cloud", ErrInvalid, g.SeqSource)
	} else if len(g.Name) > MaxGroupName || len(g.Type) > MaxGroupName {
		return fmt.Errorf("%w group name or type: longer than %d bytes", ErrInvalid, MaxGroupName)
	} else if g.LinkedPos < 0 {
		return fmt.Errorf("%w linked place %d", ErrInvalid, g.LinkedPos)
	} else if g.RoomID == "" {
		return nil
	}
	return ValidateRoomID(g.RoomID)
}

// ValidateUserID checks a Tencent UserID: 1 to 32 bytes of a-z A-Z 0-9 - and _, as
// Tencent's signing library asks for.
func ValidateUserID(userID string) error {
	if userID == "" {
		return fmt.Errorf("%w user ID: it is empty", ErrInvalid)
	} else if len(userID) > MaxUserID {
		return fmt.Errorf("%w user ID: %d bytes, at most %d are allowed", ErrInvalid, len(userID), MaxUserID)
	}
	for i := range len(userID) {
		c := userID[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("%w user ID: byte %d is none of a-z A-Z 0-9 - _", ErrInvalid, i+1)
		}
	}
	return nil
}

// ValidateMXID checks a Matrix user ID: @localpart:server, at most 255 bytes.
func ValidateMXID(mxid id.UserID) error {
	return validateMatrixID("user ID", string(mxid), '@', true)
}

// ValidateRoomID checks a room ID: it starts with ! and has at most 255 bytes. The
// server part is not asked for: rooms of version 12 have none.
func ValidateRoomID(roomID id.RoomID) error {
	return validateMatrixID("room ID", string(roomID), '!', false)
}

// ValidateEventID checks an event ID: it starts with $ and has at most 255 bytes.
func ValidateEventID(eventID id.EventID) error {
	return validateMatrixID("event ID", string(eventID), '$', false)
}

func validateMatrixID(what, s string, sigil byte, server bool) error {
	switch {
	case len(s) < 2 || s[0] != sigil:
		return fmt.Errorf("%w Matrix %s: it must start with %c and go on", ErrInvalid, what, sigil)
	case len(s) > MaxMatrixID:
		return fmt.Errorf("%w Matrix %s: %d bytes, at most %d are allowed", ErrInvalid, what, len(s), MaxMatrixID)
	}
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] == 0x7f {
			return fmt.Errorf("%w Matrix %s: byte %d is a space or control character", ErrInvalid, what, i+1)
		}
	}
	if colon := strings.IndexByte(s, ':'); server && (colon < 2 || colon == len(s)-1) {
		return fmt.Errorf("%w Matrix %s: it must be %clocalpart:server", ErrInvalid, what, sigil)
	}
	return nil
}

// ValidateMsgID checks a Tencent message ID: 1 to 128 bytes of printable ASCII
// without spaces. Its inner form is Tencent's affair.
func ValidateMsgID(msgID string) error {
	if msgID == "" {
		return fmt.Errorf("%w message ID: it is empty", ErrInvalid)
	} else if len(msgID) > MaxMsgID {
		return fmt.Errorf("%w message ID: %d bytes, at most %d are allowed", ErrInvalid, len(msgID), MaxMsgID)
	}
	for i := range len(msgID) {
		if msgID[i] <= 0x20 || msgID[i] > 0x7e {
			return fmt.Errorf("%w message ID: byte %d is not printable ASCII", ErrInvalid, i+1)
		}
	}
	return nil
}
