package v2tim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/timbridge/timbridge/receipts"
)

// The headers in which a client may say what it is. They are hints, not proof: a
// client that is silent is let through.
const (
	headerPlatform   = "X-TIM-Platform"    // as "iOS", "Android", "Web"
	headerSDKVersion = "X-TIM-SDK-Version" // as "3.9.3"
)

// hints is what the operator wants of clients; see [Config].
type hints struct {
	minimum version
	deny    map[string]bool // lower case
}

func newHints(minSDKVersion string, denyPlatforms []string) (hints, error) {
	var h hints
	if minSDKVersion != "" {
		v, ok := parseVersion(minSDKVersion)
		if !ok {
			return hints{}, fmt.Errorf("failed to read the lowest SDK version %q", minSDKVersion)
		}
		h.minimum = v
	}
	h.deny = make(map[string]bool, len(denyPlatforms))
	for _, p := range denyPlatforms {
		h.deny[strings.ToLower(p)] = true
	}
	return h, nil
}

// check answers 7013 to a client that says it cannot have the interface.
func (h hints) check(header http.Header) error {
	if p := header.Get(headerPlatform); h.deny[strings.ToLower(p)] {
		return refuse(receipts.CodeInterfaceNotSupported, "read receipts are not supported on this platform")
	}
	if said := header.Get(headerSDKVersion); len(h.minimum) > 0 && said != "" {
		if v, ok := parseVersion(said); !ok || v.less(h.minimum) {
			return refuse(receipts.CodeInterfaceNotSupported, "read receipts need SDK version "+h.minimum.String()+" or later")
		}
	}
	return nil
}

// version is a dotted version, as 3.9.3.
type version []uint64

// parseVersion reads up to eight numbers between dots; a suffix such as "+2" or
// "-beta" is left aside.
func parseVersion(s string) (version, bool) {
	if i := strings.IndexAny(s, "+- "); i >= 0 {
		s = s[:i]
	}
	parts := strings.SplitN(s, ".", 9)
	if len(parts) > 8 {
		return nil, false
	}
	v := make(version, 0, len(parts))
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return nil, false
		}
		v = append(v, n)
	}
	return v, true
}

// less compares number by number; missing ones are 0.
func (v version) less(o version) bool {
	at := func(v version, i int) uint64 {
		if i < len(v) {
			return v[i]
		}
		return 0
	}
	for i := range max(len(v), len(o)) {
		if a, b := at(v, i), at(o, i); a != b {
			return a < b
		}
	}
	return false
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(parts, ".")
}
