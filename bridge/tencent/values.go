package tencent

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"strconv"
	"time"
)

// Tencent declares integers and shows them as quoted strings, in one and the same page. [CB-RR] The
// types here take both and write numbers. Their errors do not repeat what they could not read: it
// may be part of a message.

var (
	errNoNumber = errors.New("not a whole number of 0 or more")
	errNoFlag   = errors.New("not a flag")
	errNoList   = errors.New("not a list of accounts")
)

// Uint is a number of 0 or more. It takes 7, "7", "" and null (which both change nothing).
type Uint uint64

// UnmarshalJSON implements json.Unmarshaler.
func (u *Uint) UnmarshalJSON(b []byte) error {
	text := unquote(b)
	if text == "" || text == "null" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errNoNumber
	}
	*u = Uint(n)
	return nil
}

// Flag is a truth value that Tencent writes as 0 and 1. It takes any number (all but 0 are true),
// true and false, each of them quoted too, "" and null (which both change nothing).
type Flag bool

// UnmarshalJSON implements json.Unmarshaler.
func (f *Flag) UnmarshalJSON(b []byte) error {
	switch text := unquote(b); text {
	case "", "null":
	case "true":
		*f = true
	case "false":
		*f = false
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errNoFlag
		}
		*f = n != 0
	}
	return nil
}

// MarshalJSON writes 0 or 1.
func (f Flag) MarshalJSON() ([]byte, error) {
	if f {
		return []byte("1"), nil
	}
	return []byte("0"), nil
}

// maxMillis is the end of the year 9999, the last that RFC 3339 and PostgreSQL can both write.
const maxMillis = 253402300799999

// Millis is a time in milliseconds since 1970, 0 if unknown. Nothing depends on one, so that what is
// no plausible time is read as 0 instead of making the whole event unreadable.
type Millis int64

// UnmarshalJSON implements json.Unmarshaler; it never fails.
func (m *Millis) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseInt(unquote(b), 10, 64)
	if err != nil || n < 0 || n > maxMillis {
		n = 0
	}
	*m = Millis(n)
	return nil
}

// Time returns m as a time, the zero time if m is unknown.
func (m Millis) Time() time.Time {
	if m <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m))
}

// Accounts are UserIDs. In JSON they are a list of objects with one key each, the key's name ending
// in _Account: [{"Member_Account":"jared"},{"Member_Account":"tommy"}]. Taken are also plain strings
// and null; written is Member_Account. Entries without an account are left out.
type Accounts []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *Accounts) UnmarshalJSON(b []byte) error {
	*a = nil
	// As Tencent writes it, in one go; where an entry is of another form, one by one.
	var entries []accountEntry
	if json.Unmarshal(b, &entries) == nil {
		for _, entry := range entries {
			a.add(entry.account())
		}
		return nil
	}
	var raws []json.RawMessage
	if json.Unmarshal(b, &raws) != nil {
		return errNoList
	}
	for _, raw := range raws {
		var entry accountEntry
		var plain string
		if json.Unmarshal(raw, &entry) == nil {
			a.add(entry.account())
		} else if json.Unmarshal(raw, &plain) == nil {
			a.add(plain)
		}
	}
	return nil
}

func (a *Accounts) add(account string) {
	if validID(account) {
		*a = append(*a, account)
	}
}

// accountEntry is one entry of Accounts, under the name that it has in one list or another.
type accountEntry struct{ Member_Account, Read_Account, Unread_Account string }

func (e accountEntry) account() string {
	return cmp.Or(e.Member_Account, e.Read_Account, e.Unread_Account)
}

// MarshalJSON writes Member_Account objects.
func (a Accounts) MarshalJSON() ([]byte, error) {
	type member struct{ Member_Account string }
	entries := make([]member, len(a))
	for i, account := range a {
		entries[i].Member_Account = account
	}
	return json.Marshal(entries)
}

// maxID bounds every id that is taken from a webhook. Tencent's longest are those of topics, some 80
// bytes; UserIDs have 32, GroupIds 48.
const maxID = 255

// validID tells whether s can be an id at all. Control characters are in none, and PostgreSQL cannot
// store the zero.
func validID(s string) bool {
	if s == "" || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// unquote takes one pair of quotes off. Escapes are left alone: no number has any.
func unquote(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	}
	return string(b)
}

// cut shortens a text of the other side for a log.
func cut(s string, limit int) string {
	if len(s) > limit {
		return s[:limit]
	}
	return s
}
