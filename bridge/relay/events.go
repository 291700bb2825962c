package relay

import (
	"strconv"
	"strings"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// said is what an event says: text, and the same as a place if it is one.
type said struct {
	text  string
	where *locationElem
}

// Types of polls, before and after they became part of Matrix. [MSC3381]
const (
	pollUnstable = "org.matrix.msc3381.poll.start"
	pollStable   = "m.poll.start"
)

// read returns what an event says; ok is false if that is nothing. name is the sender's, for m.emote.
func read(content object, eventType, name string, link func(id.ContentURIString) string) (s said, ok bool) {
	switch eventType {
	case event.EventMessage.Type:
		s = readMessage(content, name, link)
	case event.EventSticker.Type:
		s.text = mediaLine("sticker", content, link)
	case pollUnstable:
		s.text = pollLines(content.object(pollUnstable))
	case pollStable:
		s.text = pollLines(content.object("m.poll"))
	}
	return s, strings.TrimSpace(s.text) != ""
}

// readMessage reads a m.room.message by its msgtype. [MX-MSG]
func readMessage(content object, name string, link func(id.ContentURIString) string) said {
	switch event.MessageType(content.text("msgtype")) {
	case event.MsgEmote:
		if body := withoutFallback(content); strings.TrimSpace(body) != "" {
			return said{text: words("*", oneLine(name, maxName), body)}
		}
		return said{}
	case event.MsgImage:
		return said{text: mediaLine("image", content, link)}
	case event.MsgVideo:
		return said{text: mediaLine("video", content, link)}
	case event.MsgAudio:
		return said{text: mediaLine("audio", content, link)}
	case event.MsgFile:
		return said{text: mediaLine("file", content, link)}
	case event.MsgLocation:
		desc := content.text("body")
		p, ok := parseGeo(content.text("geo_uri"))
		s := said{text: locationLine(desc, p, ok)}
		if ok {
			s.where = &locationElem{Desc: desc, Latitude: p.latitude, Longitude: p.longitude}
		}
		return s
	}
	return said{text: withoutFallback(content)}
}

// mediaLine shows a file: its name, its link and, on a line of its own, what is said about it. Without
// a filename the body is the name, with one it is the caption. [MX-MSG]
func mediaLine(kind string, content object, link func(id.ContentURIString) string) string {
	body, name := content.text("body"), content.text("filename")
	if name == "" || name == body {
		name, body = body, ""
	}
	// An encrypted file (content.file) has no url here: behind its link is nothing that can be read.
	url := content.text("url")
	if url != "" && len(url) <= maxLink {
		url = safeLink(link(id.ContentURIString(url)))
	} else {
		url = ""
	}
	// A description of several lines is kept, below.
	if short := oneLine(name, maxLabel); short != name {
		name, body = "", join("\n", name, body)
	}
	return join("\n", words(label(kind), name, url), body)
}

// pollLines shows the question of a poll and its answers. [MSC3381]
func pollLines(poll object) string {
	question := extensibleText(poll.object("question"))
	all := []string{}
	for _, raw := range poll.list("answers") {
		if answer := extensibleText(parseObject(raw)); answer != "" {
			all = append(all, strconv.Itoa(len(all)+1)+". "+answer)
		}
	}
	if question == "" && len(all) == 0 {
		return ""
	}
	return join("\n", words(label("poll"), question), strings.Join(all, "\n"))
}

// extensibleText returns the plain text of a text that comes in several forms, under the key that it
// had before or has now.
func extensibleText(o object) string {
	if text := o.text("org.matrix.msc1767.text"); text != "" {
		return text
	}
	for _, key := range []string{"m.text", "org.matrix.msc1767.message"} {
		for _, raw := range o.list(key) {
			form := parseObject(raw)
			if kind := form.text("mimetype"); kind == "" || kind == "text/plain" {
				return form.text("body")
			}
		}
	}
	return o.text("body")
}

// withoutFallback returns the body of an event without the quotation that old clients put in front of
// replies: lines that begin with "> ", the first naming a user, and an empty line. [MX-REPLY]
func withoutFallback(content object) string {
	body := content.text("body")
	if repliesTo(content) == "" || !(strings.HasPrefix(body, "> <@") || strings.HasPrefix(body, "> * <@")) {
		return body
	}
	rest := body
	for strings.HasPrefix(rest, "> ") || rest == ">" || strings.HasPrefix(rest, ">\n") {
		_, rest, _ = strings.Cut(rest, "\n")
	}
	if rest = strings.TrimPrefix(rest, "\n"); strings.TrimSpace(rest) == "" {
		return body // somebody who says nothing else means it
	}
	return rest
}
