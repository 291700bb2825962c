package config

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

// GoString is String for the verb %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText makes JSON and other text encoders write the placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
