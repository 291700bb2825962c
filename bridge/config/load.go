package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/timbridge/timbridge"
)

// Options say how a configuration is loaded.
type Options struct {
	// Update allows the file to be rewritten in the newest layout.
	Update bool
	// Environ holds the environment as [os.Environ] gives it; nil = none.
	Environ []string
}

// Result is what came of loading besides the Config.
type Result struct {
	Config *Config
	// Warnings are lines for the operator: unknown keys, a file that could not
	// be rewritten. They hold no secrets.
	Warnings []string
	// Unknown is the number of keys in the file that timbridge does not know.
	Unknown int
	// Updated tells that the file was rewritten.
	Updated bool
}

// Load reads the file at path over the defaults of the example, rewrites the
// file in the newest layout if allowed and needed, and applies the environment.
//
// It fails if the file cannot be read or is not what the keys take: then
// everything of that kind is in one [*ProblemsError]. A file that cannot be
// rewritten is a warning, never an error. Load does not judge the values, that
// is [Config.Validate].
func Load(path string, opts Options) (*Result, error) {
	source, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("failed to read config: there is no file %s (write one with -e, or name yours with -c)", path)
	} else if err != nil {
		return nil, fmt.Errorf("failed to read config: %w", err)
	}
	var found findings
	cfg, err := decode(source, &found)
	if err != nil {
		return nil, err
	}
	res := &Result{Config: cfg, Unknown: found.unknown}
	if opts.Update {
		res.Updated = update(path, source, cfg, &found)
	}
	if err = applyEnviron(cfg, opts.Environ, &found); err != nil {
		return nil, err
	}
	cfg.Homeserver.Address = strings.TrimRight(cfg.Homeserver.Address, "/")
	res.Warnings = found.warnings
	return res, nil
}

// Default returns the configuration of the example, as it is before anybody
// has filled it in. It does not pass [Config.Validate].
func Default() (*Config, error) {
	var found findings
	return decode(nil, &found)
}

// decode lays a file over the example.
func decode(source []byte, found *findings) (*Config, error) {
	cfg := &Config{}
	if err := overlay(cfg, []byte(timbridge.ExampleConfig()), found); err != nil {
		return nil, fmt.Errorf("failed to read the example config: %w", err)
	}
	if err := overlay(cfg, source, found); err != nil {
		return nil, fmt.Errorf("failed to parse config: %w", err)
	}
	return cfg, nil
}

// overlay decodes one YAML document over a Config; keys that it does not name
// keep their values.
func overlay(cfg *Config, source []byte, found *findings) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(source, &doc); err != nil {
		return plainYAMLError(err)
	}
	if doc.Kind == 0 { // an empty file
		return nil
	}
	return overlayNode(cfg, doc.Content[0], found)
}

func overlayNode(cfg *Config, root *yaml.Node, found *findings) error {
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" { // nothing but comments
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return errors.New("it must consist of sections like homeserver: and appservice: (see -e)")
	}
	conform(root, reflect.TypeFor[Config](), "", found)
	if err := found.err(); err != nil {
		return err
	}
	if err := root.Decode(cfg); err != nil {
		return plainYAMLError(err)
	}
	return nil
}

// plainYAMLError drops from an error of the YAML package what could be a part
// of a secret: an unquoted value that begins with * is quoted in it as an anchor.
func plainYAMLError(err error) error {
	if strings.Contains(err.Error(), "unknown anchor") {
		return errors.New("yaml: a value that begins with * has to be in quotes")
	}
	return err
}
