package relay

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// maxContent is the largest JSON that is looked into, in bytes. An event has at most 65,535 [MX-SIZE],
// but homeservers may write some letters, such as <, in six bytes. A Tencent message has some 12,000
// [LIMITS].
const maxContent = 6 * 65535

// object is a JSON object of which each field is read on its own: one of a wrong type hides no other.
// A nil object has no fields.
type object map[string]json.RawMessage

// parseObject returns nil for what is no object.
func parseObject(raw json.RawMessage) object {
	var o object
	if len(raw) > maxContent || json.Unmarshal(raw, &o) != nil {
		return nil
	}
	return o
}

func (o object) object(key string) object { return parseObject(o[key]) }

func (o object) list(key string) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(o[key], &list) != nil {
		return nil
	}
	return list
}

func (o object) text(key string) string { return textOf(o[key]) }

// textOf returns a string, or a number as it is written; "" for anything else.
func textOf(raw json.RawMessage) string {
	var text string
	var number json.Number
	if json.Unmarshal(raw, &text) == nil {
		// The apps' SDKs are written in C, where a zero ends the text, and PostgreSQL cannot store it.
		return strings.ReplaceAll(text, "\x00", "\uFFFD")
	} else if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// number returns a number, which may be quoted; 0 and false for anything else.
func (o object) number(key string) (float64, bool) {
	n, err := strconv.ParseFloat(textOf(o[key]), 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false
	}
	return n, true
}

// marshal writes v as it is sent to Tencent: without escaping for HTML, which would take six bytes for
// one where 12 KB are the limit.
func marshal(v any) json.RawMessage {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(v) != nil {
		return json.RawMessage("{}") // cannot happen: strings and finite numbers always marshal
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
