package matrix

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// This file takes a transaction apart that is too deep for encoding/json, which goes down 10,000 levels and refuses the whole of what
// is deeper. An event may have nearly as many (64 KiB of brackets), and a homeserver that checks it alone lets it pass; in a
// transaction it stands three levels further down. Were that refused, the homeserver would send it again for ever, and everything behind
// it would wait: so it has to be that one event that is dropped.

// tooDeep tells that encoding/json refused something for its depth, which it says in words only.
func tooDeep(err error) bool {
	var syntax *json.SyntaxError
	return errors.As(err, &syntax) && strings.Contains(syntax.Error(), "max depth")
}

var errCutOff = errors.New("the JSON ends, or goes wrong, in the middle")

// splitObject takes an object apart into its values, splitArray an array into its elements. They look for where each ends and not
// at what it is: that is for whoever reads it. Both need the stack and the memory of one level only.
func splitObject(raw []byte) (object, error) {
	obj := make(object)
	err := splitList(raw, '{', '}', func(rest []byte) ([]byte, error) {
		quoted, rest, err := cutValue(rest)
		if err != nil {
			return nil, err
		}
		var key string
		if json.Unmarshal(quoted, &key) != nil || len(rest) == 0 || rest[0] != ':' {
			return nil, errCutOff
		}
		value, rest, err := cutValue(rest[1:])
		obj[key] = value
		return rest, err
	})
	return obj, err
}

func splitArray(raw []byte) (elements []json.RawMessage, err error) {
	err = splitList(raw, '[', ']', func(rest []byte) ([]byte, error) {
		value, rest, err := cutValue(rest)
		elements = append(elements, value)
		return rest, err
	})
	return elements, err
}

// splitList calls item for what begins after each comma; item returns what is left behind it.
func splitList(raw []byte, open, end byte, item func(rest []byte) ([]byte, error)) (err error) {
	rest := bytes.Trim(raw, jsonSpace)
	if len(rest) < 2 || rest[0] != open || rest[len(rest)-1] != end {
		return errCutOff
	}
	if rest = bytes.Trim(rest[1:len(rest)-1], jsonSpace); len(rest) == 0 {
		return nil
	}
	for {
		if rest, err = item(rest); err != nil || len(rest) == 0 {
			return err
		}
		if rest[0] != ',' {
			return errCutOff
		}
		rest = rest[1:]
	}
}

const jsonSpace = " \t\r\n"

// cutValue cuts the first value off; rest begins with what is behind it, other than space.
func cutValue(raw []byte) (value, rest []byte, err error) {
	raw = bytes.TrimLeft(raw, jsonSpace)
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '"':
			if i = endOfString(raw, i); i < 0 {
				return nil, nil, errCutOff
			}
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		default:
			if depth == 0 { // a number or a word
				if n := bytes.IndexAny(raw[i:], ",:]}"+jsonSpace); n > 0 {
					i += n - 1
				} else if n < 0 {
					i = len(raw) - 1
				} else {
					return nil, nil, errCutOff
				}
			}
		}
		switch {
		case depth < 0:
			return nil, nil, errCutOff
		case depth == 0:
			return raw[:i+1], bytes.TrimLeft(raw[i+1:], jsonSpace), nil
		}
	}
	return nil, nil, errCutOff
}

// endOfString returns the place of the quote that ends the string that begins at start, or -1.
func endOfString(raw []byte, start int) int {
	for i := start + 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
