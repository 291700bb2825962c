package relay

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// place is where something is, in degrees (WGS 84).
type place struct{ latitude, longitude float64 }

func (p place) valid() bool {
	return math.Abs(p.latitude) <= 90 && math.Abs(p.longitude) <= 180
}

// String writes the place for people, uri for programs, neither with an exponent.
func (p place) String() string { return "(" + degrees(p.latitude) + ", " + degrees(p.longitude) + ")" }
func (p place) uri() string    { return "geo:" + degrees(p.latitude) + "," + degrees(p.longitude) }

func degrees(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// parseGeo reads geo:<latitude>,<longitude>, perhaps with an altitude and with parameters behind a
// semicolon. [RFC5870]
func parseGeo(uri string) (p place, ok bool) {
	const scheme = "geo:"
	if len(uri) > maxLink || len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return place{}, false
	}
	coordinates, parameters, _ := strings.Cut(uri[len(scheme):], ";")
	for parameter := range strings.SplitSeq(parameters, ";") {
		if key, value, _ := strings.Cut(parameter, "="); strings.EqualFold(key, "crs") && !strings.EqualFold(value, "wgs84") {
			return place{}, false // such as the moon
		}
	}
	parts := strings.Split(coordinates, ",")
	if len(parts) != 2 && len(parts) != 3 {
		return place{}, false
	}
	latitude, err1 := strconv.ParseFloat(parts[0], 64)
	longitude, err2 := strconv.ParseFloat(parts[1], 64)
	p = place{latitude, longitude}
	return p, err1 == nil && err2 == nil && p.valid()
}

// locationElem is the MsgContent of a TIMLocationElem. [R-FORMAT]
type locationElem struct {
	Desc                string
	Latitude, Longitude float64
}

// parseLocation reads the MsgContent of a TIMLocationElem; ok is false if it is no place.
func parseLocation(raw json.RawMessage) (desc string, p place, ok bool) {
	o := parseObject(raw)
	latitude, ok1 := o.number("Latitude")
	longitude, ok2 := o.number("Longitude")
	p = place{latitude, longitude}
	return o.text("Desc"), p, ok1 && ok2 && p.valid()
}
