package relay

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Lengths of what is quoted, in characters.
const (
	maxName     = 100
	maxAbstract = 100
	maxLabel    = 500
)

// maxLink is the longest link that is put into a text, in bytes; signed ones have some hundred.
const maxLink = 4096

// oneLine makes text fit for a single line of at most limit characters: whatever breaks or hides parts
// of a line becomes a space, and the rest is cut off.
func oneLine(text string, limit int) string {
	// Looks no further than needed, even if it were nothing but spaces.
	if most := 4 * utf8.UTFMax * limit; len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	words := strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	})
	return shorten(strings.ToValidUTF8(strings.Join(words, " "), "\uFFFD"), limit)
}

// shorten cuts text after limit characters, and shows that it did.
func shorten(text string, limit int) string {
	count := 0
	for i := range text {
		if count == limit {
			return text[:i] + "…"
		}
		count++
	}
	return text
}

// safeLink returns link if it can be put into a text as it is: one word, http or https, to a host, and
// without a user name, which is there to make the host look like another. Otherwise "".
func safeLink(link string) string {
	if len(link) > maxLink {
		return ""
	}
	for _, r := range link {
		if r == ' ' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return ""
		}
	}
	u, err := url.Parse(link)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.User != nil {
		return ""
	}
	return link
}

// words joins what is not empty with spaces.
func words(parts ...string) string {
	return join(" ", parts...)
}

func join(separator string, parts ...string) string {
	kept := parts[:0:0]
	for _, part := range parts {
		if part != "" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, separator)
}

// label is what a line begins with: its kind and what is known of it, such as [image 800×600, 12 kB].
func label(kind string, details ...string) string {
	return "[" + words(kind, join(", ", details...)) + "]"
}

// byteSize writes a number of bytes for people; "" if there is none.
func byteSize(n float64) string {
	if n < 1 || n > 1e15 {
		return ""
	}
	unit := 0
	for n >= 999.5 {
		n /= 1000
		unit++
	}
	digits := 0
	if unit > 0 && n < 9.95 {
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + []string{"B", "kB", "MB", "GB", "TB", "PB"}[unit]
}

// quote is the line in front of a text that replies to something the other side does not have. It does
// not look like the fallback of Matrix replies, which clients cut off.
func quote(name, abstract string) string {
	name, abstract = oneLine(name, maxName), oneLine(abstract, maxAbstract)
	if name == "" && abstract == "" {
		return ""
	} else if name == "" || abstract == "" {
		return "> " + name + abstract + "\n"
	}
	return "> " + name + ": " + abstract + "\n"
}
