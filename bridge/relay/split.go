package relay

import (
	"unicode"
	"unicode/utf8"
)

// jsonRune returns how many bytes a rune of so many bytes takes in a string that [marshal] writes.
func jsonRune(r rune, width int) int {
	switch {
	case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
		return 2
	case r < ' ', r == '\u2028', r == '\u2029', r == utf8.RuneError && width == 1:
		return 6
	}
	return width
}

// prefix returns how much of text can be a string of at most room bytes of JSON: all of it, or up to
// the end of a line, of a word or at least of a rune. Lines and words count only in the last quarter,
// so that pieces are never small.
func prefix(text string, room int) int {
	used, line, word := 0, 0, 0
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRuneInString(text[i:])
		if used += jsonRune(r, width); used > room {
			if line > 0 {
				return line
			} else if word > 0 {
				return word
			}
			return i
		}
		i += width
		if used <= room*3/4 {
			continue
		} else if r == '\n' {
			line = i
		} else if unicode.IsSpace(r) {
			word = i
		}
	}
	return len(text)
}

// jsonSize returns how many bytes text takes as JSON, with its quotes.
func jsonSize(text string) int {
	size := len(`""`)
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRuneInString(text[i:])
		size += jsonRune(r, width)
		i += width
	}
	return size
}

// minRoom is how much text a message must have room for, in bytes of JSON.
const minRoom = 1024

// textElem returns text as an element.
func textElem(text string) Elem {
	return Elem{MsgType: "TIMTextElem", MsgContent: marshal(struct{ Text string }{text})}
}

// splitText returns the messages that together say text, of which the first has cloudCustomData.
func splitText(text, cloudCustomData string) ([]TencentMessage, error) {
	whole := MaxBody - len(marshal([]Elem{textElem("")}))
	room := whole
	if cloudCustomData != "" {
		if room -= jsonSize(cloudCustomData); room < minRoom {
			return nil, ErrTooLong
		}
	}
	var parts []TencentMessage
	for len(parts) == 0 || text != "" {
		if len(parts) == MaxParts {
			return nil, ErrTooLong
		}
		end := prefix(text, room)
		parts = append(parts, TencentMessage{Body: []Elem{textElem(text[:end])}})
		text, room = text[end:], whole
	}
	parts[0].CloudCustomData = cloudCustomData
	return parts, nil
}
