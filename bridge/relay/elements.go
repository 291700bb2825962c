package relay

import (
	"strconv"
	"strings"

	"github.com/timbridge/timbridge/mapping"
)

// unsupported stands for what cannot be shown otherwise.
const unsupported = "unsupported message"

// lines renders the elements of a message, each on a line of its own or more, until there are enough.
// Merged messages are opened if open is set.
func lines(body []Elem, r TencentResolver, open bool) string {
	var out strings.Builder
	for _, e := range body {
		text := line(e, r, open)
		if text == "" {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(text)
		if out.Len() > maxMatrixBody {
			break
		}
	}
	return out.String()
}

// line renders one element; "" if there is nothing in it. Field names are those of [R-FORMAT].
func line(e Elem, r TencentResolver, open bool) string {
	o := parseObject(e.MsgContent)
	if o == nil {
		return label(words(unsupported, oneLine(e.MsgType, maxName)))
	}
	switch e.MsgType {
	case "TIMTextElem":
		return o.text("Text")
	case "TIMFaceElem":
		return words(label("face", oneLine(o.text("Index"), maxName)), oneLine(o.text("Data"), maxLabel))
	case "TIMLocationElem":
		desc, p, ok := parseLocation(e.MsgContent)
		return locationLine(oneLine(desc, maxLabel), p, ok)
	case "TIMCustomElem":
		description := oneLine(o.text("Desc"), maxLabel)
		if description == "" {
			description = oneLine(o.text("Data"), maxLabel)
		}
		return words(label("custom message"), description, safeLink(o.text("Ext")))
	case "TIMSoundElem":
		return words(label("sound", seconds(o, "Second"), fileSize(o, "Size")), safeLink(o.text("Url")))
	case "TIMImageElem":
		return imageLine(o)
	case "TIMFileElem":
		return words(label("file", fileSize(o, "FileSize")), fileName(o), safeLink(o.text("Url")))
	case "TIMVideoFileElem":
		return words(label("video", seconds(o, "VideoSecond"), fileSize(o, "VideoSize")), safeLink(o.text("VideoUrl")))
	case "TIMRelayElem":
		return mergedLines(o, r, open)
	}
	return label(words(unsupported, oneLine(e.MsgType, maxName)))
}

func locationLine(desc string, p place, ok bool) string {
	if !ok {
		return words(label("location"), desc)
	}
	return words(label("location"), desc, p.String())
}

// fileName returns the name without the path that some apps send along. The documentation spells the
// field in two ways.
func fileName(o object) string {
	name := o.text("FileName")
	if name == "" {
		name = o.text("fileName")
	}
	return oneLine(name[strings.LastIndexAny(name, `/\`)+1:], maxLabel)
}

func fileSize(o object, key string) string {
	n, _ := o.number(key)
	return byteSize(n)
}

func seconds(o object, key string) string {
	if n, _ := o.number(key); n >= 1 && n <= 1e9 {
		return strconv.FormatFloat(n, 'f', 0, 64) + " s"
	}
	return ""
}

// imageOriginal is the Type of the picture as it was sent; the others are smaller copies. [R-FORMAT]
const imageOriginal = 1

// imageLine shows the original, or else the first picture that has a link.
func imageLine(o object) string {
	var best object
	link := ""
	for _, raw := range o.list("ImageInfoArray") {
		image := parseObject(raw)
		url := safeLink(image.text("URL"))
		kind, _ := image.number("Type")
		if best == nil || (url != "" && (link == "" || kind == imageOriginal)) {
			best, link = image, url
		}
		if kind == imageOriginal && url != "" {
			break
		}
	}
	size := ""
	width, _ := best.number("Width")
	height, _ := best.number("Height")
	if width >= 1 && height >= 1 && width <= 1e6 && height <= 1e6 {
		size = strconv.FormatFloat(width, 'f', 0, 64) + "×" + strconv.FormatFloat(height, 'f', 0, 64)
	}
	return words(label("image", size, fileSize(best, "Size")), link)
}

// mergedLines shows merged messages: the messages themselves if they are there, else the app's abstract
// of them, else the text for apps that know no merged messages. Within merged messages others are not
// opened, so that nothing can be nested deeply.
func mergedLines(o object, r TencentResolver, open bool) string {
	count := ""
	if n, _ := o.number("MsgNum"); n >= 1 && n <= 1e6 {
		count = strconv.FormatFloat(n, 'f', 0, 64)
	}
	all := []string{words(label("merged messages", count), oneLine(o.text("Title"), maxLabel))}
	if !open {
		return all[0]
	}
	size := 0
	add := func(text string) {
		if text != "" {
			all = append(all, text)
			size += len(text)
		}
	}
	for _, raw := range o.list("MsgList") {
		if size > maxMatrixBody {
			break
		}
		message := parseObject(raw)
		var body []Elem
		for _, raw := range message.list("MsgBody") {
			e := parseObject(raw)
			body = append(body, Elem{MsgType: e.text("MsgType"), MsgContent: e["MsgContent"]})
		}
		if text := lines(body, r, false); text != "" {
			add(join(": ", shownName(message.text("From_Account"), r), text))
		}
	}
	if size == 0 {
		for _, raw := range o.list("AbstractList") {
			if size > maxMatrixBody {
				break
			}
			add(oneLine(textOf(raw), maxLabel))
		}
	}
	if size == 0 {
		add(o.text("CompatibleText"))
	}
	return strings.Join(all, "\n")
}

// shownName returns the name of a Tencent user, his UserID if there is none.
func shownName(userID string, r TencentResolver) string {
	if mapping.ValidateUserID(userID) != nil {
		return oneLine(userID, maxName)
	}
	if _, name, ok := r.MatrixUser(userID); ok && name != "" {
		return oneLine(name, maxName)
	}
	return userID
}

// customData returns the Data of the first custom element; Tencent allows one. [R-FORMAT]
func customData(body []Elem) (data string) {
	for _, e := range body {
		if e.MsgType == "TIMCustomElem" {
			return parseObject(e.MsgContent).text("Data")
		}
	}
	return ""
}

// onlyLocation returns the place of a message that is nothing but a place.
func onlyLocation(body []Elem) (desc string, p place, ok bool) {
	if len(body) != 1 || body[0].MsgType != "TIMLocationElem" {
		return "", place{}, false
	}
	return parseLocation(body[0].MsgContent)
}
