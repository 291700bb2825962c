package v2tim

import (
	"fmt"
	"strconv"
)

// Uint is a number that may also come as a string: SDKs for JavaScript send large
// numbers quoted, and Tencent's own payloads do both. It is written as a number.
type Uint uint64

// UnmarshalJSON takes 7, "7" and null (which changes nothing).
func (u *Uint) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	n, err := strconv.ParseUint(unquote(b), 10, 64)
	if err != nil {
		return fmt.Errorf("failed to read a number from %.40q", b)
	}
	*u = Uint(n)
	return nil
}

// Bool is a truth value that may also come as 0 and 1 (as Tencent's server API
// spells it), bare or quoted. It is written as 0 or 1.
type Bool bool

// UnmarshalJSON takes true, false, 0, 1, each of them quoted too, and null (which
// changes nothing).
func (v *Bool) UnmarshalJSON(b []byte) error {
	switch unquote(b) {
	case "null":
	case "true", "1":
		*v = true
	case "false", "0":
		*v = false
	default:
		return fmt.Errorf("failed to read a truth value from %.40q", b)
	}
	return nil
}

// MarshalJSON writes 0 or 1.
func (v Bool) MarshalJSON() ([]byte, error) {
	if v {
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// unquote takes one pair of quotes off. Escapes are left alone: no number has any.
func unquote(b []byte) string {
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	}
	return string(b)
}
