package config

import (
	"fmt"
	"io"
)

// placeholder is what every secret looks like from outside.
const placeholder = "<secret>"

// Secret is a string that does not show itself: printed with any verb of fmt,
// logged, or marshalled to JSON it is a placeholder. string(s) gives the value.
type Secret string

// String returns a placeholder, or nothing if the secret is empty.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return placeholder
}

// Format makes every verb write what String returns; %d, for one, would
// otherwise go round it.
func (s Secret) Format(out fmt.State, _ rune) { _, _ = io.WriteString(out, s.String()) }

// MarshalText makes JSON and other text encoders write the placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
