package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// fileSuffix marks a variable that holds the name of a file with the value.
const fileSuffix = "_FILE"

// applyEnviron lays environment variables over the Config. A variable is the
// prefix, then the path in capitals with two underscores for each step down.
// One that has the prefix but no such step is left alone with a warning,
// because Kubernetes makes TIMBRIDGE_PORT and the like by itself.
func applyEnviron(cfg *Config, environ []string, found *findings) error {
	if cfg.EnvConfigPrefix == "" {
		return nil
	}
	seen := map[string]string{}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		key, ok := strings.CutPrefix(name, cfg.EnvConfigPrefix)
		if !ok {
			continue
		}
		key, fromFile := strings.CutSuffix(key, fileSuffix)
		path := strings.Split(strings.ToLower(key), "__")
		if len(path) == 1 {
			found.warn(name, "environment variable ignored: it names no key (a key looks like %sHOMESERVER__ADDRESS)", cfg.EnvConfigPrefix)
			continue
		}
		dotted := strings.Join(path, ".")
		if other, twice := seen[dotted]; twice {
			found.problem(name, "environment variable sets the same key as %s: keep one of them", other)
			continue
		}
		seen[dotted] = name
		if fromFile {
			content, err := os.ReadFile(value)
			if err != nil {
				found.problem(name, "failed to read the file that this environment variable names: %v", err)
				continue
			}
			value = strings.TrimSpace(string(content))
		}
		if err := applyVariable(cfg, path, value); err != nil {
			found.problem(name, "environment variable: %v", err)
		}
	}
	return found.err()
}

// applyVariable turns one variable into a YAML document of one key and lays it
// over the Config, so that the same checks apply as in the file.
func applyVariable(cfg *Config, path []string, value string) error {
	node, err := variableNode(reflect.TypeFor[Config](), path, value)
	if err != nil {
		return err
	}
	var own findings
	if err = overlayNode(cfg, node, &own); err != nil {
		return err
	}
	return own.err()
}

// variableNode builds the YAML for a path. typ is what the path starts from.
func variableNode(typ reflect.Type, path []string, value string) (*yaml.Node, error) {
	switch {
	case len(path) == 0:
		return valueNode(typ, value)
	case isSection(typ):
		fields := fieldsOf(typ)
		at := slices.IndexFunc(fields, func(f schemaField) bool { return f.name == path[0] })
		if at < 0 {
			return nil, fmt.Errorf("there is no key %s%s", path[0], suggest(path[0], fields))
		}
		child, err := variableNode(fields[at].typ, path[1:], value)
		return mapping(path[0], child), err
	case typ.Kind() == reflect.Map: // all the rest is one key of the map
		child, err := valueNode(typ.Elem(), value)
		return mapping(strings.Join(path, "__"), child), err
	case typ.Kind() == reflect.Struct: // logging: zeroconfig's own layout
		child, err := variableNode(reflect.TypeFor[any](), path[1:], value)
		return mapping(path[0], child), err
	case typ.Kind() == reflect.Interface:
		child, err := variableNode(typ, path[1:], value)
		return mapping(path[0], child), err
	default:
		return nil, fmt.Errorf("%s has no keys of its own", path[0])
	}
}

// valueNode is the YAML of a value. A list is comma separated or, like maps and
// sections, written as YAML ([a, b]). Strings are taken as they are.
func valueNode(typ reflect.Type, value string) (*yaml.Node, error) {
	switch kind := typ.Kind(); {
	case kind == reflect.Slice && !strings.HasPrefix(strings.TrimSpace(value), "["):
		list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list.Content = append(list.Content, scalar(item))
			}
		}
		return list, nil
	case kind == reflect.Slice, kind == reflect.Map, kind == reflect.Struct, kind == reflect.Interface:
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(value), &doc); err != nil || len(doc.Content) == 0 {
			return nil, fmt.Errorf("the value is not YAML") // not err: it may quote the value
		}
		return doc.Content[0], nil
	default:
		return scalar(value), nil
	}
}

func scalar(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

func mapping(key string, value *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: []*yaml.Node{scalar(key), value}}
}
