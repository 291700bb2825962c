package config

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"go.mau.fi/zeroconfig"
	"gopkg.in/yaml.v3"
)

// schemaField is one key of a section.
type schemaField struct {
	name string
	typ  reflect.Type
}

// fieldsOf returns the keys of a section in the order of the struct.
func fieldsOf(section reflect.Type) []schemaField {
	out := make([]schemaField, 0, section.NumField())
	for i := range section.NumField() {
		field := section.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		out = append(out, schemaField{name: name, typ: field.Type})
	}
	return out
}

// isSection tells a section from a value. The logging section is a value to
// us: its layout belongs to zeroconfig.
func isSection(typ reflect.Type) bool {
	return typ.Kind() == reflect.Struct && typ != reflect.TypeFor[zeroconfig.Config]()
}

// leafPaths returns the paths of all values below a section.
func leafPaths(section reflect.Type, prefix ...string) [][]string {
	var out [][]string
	for _, field := range fieldsOf(section) {
		path := append(slices.Clone(prefix), field.name)
		if isSection(field.typ) {
			out = append(out, leafPaths(field.typ, path...)...)
		} else {
			out = append(out, path)
		}
	}
	return out
}

// conform checks a mapping against the keys and types of a section before it
// is decoded, because the YAML decoder's own complaints name Go types and not
// keys. It changes values into the form that the decoder takes ("7d" becomes
// "168h0m0s") and drops empty ones, which mean the default.
func conform(node *yaml.Node, section reflect.Type, path string, found *findings) {
	fields := fieldsOf(section)
	kept := make([]*yaml.Node, 0, len(node.Content))
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		for value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if key.Value == "<<" { // a YAML merge: the decoder knows what to do
			kept = append(kept, key, node.Content[i+1])
			continue
		}
		full := joinKey(path, key.Value)
		at := slices.IndexFunc(fields, func(f schemaField) bool { return f.name == key.Value })
		if at < 0 {
			found.unknown++
			found.warn(full, "line %d: timbridge knows no such key%s; it is ignored", key.Line, suggest(key.Value, fields))
			continue
		}
		if conformValue(value, fields[at].typ, full, found) {
			kept = append(kept, key, value)
		}
	}
	node.Content = kept
}

// conformValue checks one value and reports whether it is to be decoded.
func conformValue(value *yaml.Node, typ reflect.Type, full string, found *findings) bool {
	isNull := value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null"
	switch {
	case isSection(typ):
		if isNull {
			return false
		}
		if value.Kind != yaml.MappingNode {
			found.problem(full, "must be a section with keys of its own (indented below it)")
			return false
		}
		conform(value, typ, full, found)
		return true
	case typ.Kind() == reflect.Struct: // logging: zeroconfig's own
		if isNull {
			return false
		}
		if value.Kind != yaml.MappingNode {
			found.problem(full, "must be a section with keys of its own (indented below it)")
			return false
		}
		return true
	case typ.Kind() == reflect.Slice:
		if isNull {
			return false
		}
		if value.Kind != yaml.SequenceNode {
			found.problem(full, "must be a list, for instance [one, two]")
			return false
		}
		for _, item := range value.Content {
			if !conformScalar(item, typ.Elem(), full, found) {
				return false
			}
		}
		return true
	case typ.Kind() == reflect.Map:
		if isNull {
			return false
		}
		if value.Kind != yaml.MappingNode {
			found.problem(full, "must be a list of keys with values, for instance {example.com: value}")
			return false
		}
		for i := 1; i < len(value.Content); i += 2 {
			if !conformScalar(value.Content[i], typ.Elem(), joinKey(full, value.Content[i-1].Value), found) {
				return false
			}
		}
		return true
	default:
		return conformScalar(value, typ, full, found)
	}
}

// conformScalar checks a single value. Quoted numbers are numbers, and
// unquoted numbers are strings where a string is wanted.
func conformScalar(value *yaml.Node, typ reflect.Type, full string, found *findings) bool {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	if value.Kind != yaml.ScalarNode {
		found.problem(full, "must be a single value")
		return false
	}
	isNull := value.ShortTag() == "!!null"
	if typ.Kind() == reflect.String {
		if isNull {
			value.Value = ""
		}
		value.Tag = "!!str"
		return true
	}
	if isNull {
		return false
	}
	if typ == reflect.TypeFor[time.Duration]() {
		duration, err := ParseDuration(value.Value)
		if err != nil {
			found.problem(full, "%v", err)
			return false
		}
		value.Tag, value.Value = "!!str", duration.String()
		return true
	}
	value.Tag, value.Style = "", 0
	if err := value.Decode(reflect.New(typ).Interface()); err != nil {
		found.problem(full, "%q is not %s", value.Value, describe(typ))
		return false
	}
	return true
}

// describe says in words what a type takes.
func describe(typ reflect.Type) string {
	switch typ.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Uint16:
		return "a whole number from 0 to 65535"
	case reflect.Uint64:
		return "a whole number, 0 or more"
	case reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

func joinKey(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// suggest names the known key that was probably meant.
func suggest(key string, fields []schemaField) string {
	normal := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(s))
	}
	for _, field := range fields {
		a, b := normal(field.name), normal(key)
		if a == b || (len(b) >= 4 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))) {
			return " (did you mean " + field.name + "?)"
		}
	}
	return ""
}
