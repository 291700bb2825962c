package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads a time as [time.ParseDuration] does and knows days as
// well: "7d", "1d12h", "200ms". A number without a unit is refused, except 0.
func ParseDuration(text string) (time.Duration, error) {
	text = strings.TrimSpace(text)
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no time: write it like 200ms, 15s, 10m, 168h or 7d", text)
		}
		return d, nil
	}
	count, err := strconv.ParseUint(days, 10, 16) // up to 65,535 days: far from overflow
	if err != nil {
		return 0, fmt.Errorf("%q is no time: write it like 200ms, 15s, 10m, 168h or 7d", text)
	}
	total := time.Duration(count) * 24 * time.Hour
	if rest == "" {
		return total, nil
	}
	more, err := time.ParseDuration(rest)
	if err != nil || more < 0 || more >= 24*time.Hour {
		return 0, fmt.Errorf("%q is no time: write it like 200ms, 15s, 10m, 168h or 7d", text)
	}
	return total + more, nil
}
