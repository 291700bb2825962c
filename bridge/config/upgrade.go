package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"go.mau.fi/util/configupgrade"
	"gopkg.in/yaml.v3"

	"github.com/timbridge/timbridge"
)

// errUnknownKeys keeps timbridge from rewriting a file in which it would lose
// what somebody has written.
var errUnknownKeys = errors.New("it holds keys that timbridge does not know and that would be lost: correct or remove them first")

// update rewrites the file in the newest layout if that changes anything, and
// reports whether it did. What hinders it becomes a warning.
func update(path string, source []byte, cfg *Config, found *findings) bool {
	updated, err := rewrite(path, source, cfg, found.unknown)
	if err != nil {
		found.warnings = append(found.warnings, fmt.Sprintf("%s was left as it is: %v", path, err))
	}
	return updated
}

// rewrite puts the newest layout into the file, with extra changes on top.
func rewrite(path string, source []byte, cfg *Config, unknown int, extra ...configupgrade.Upgrader) (bool, error) {
	if unknown > 0 {
		return false, errUnknownKeys
	}
	output, err := render(path, extra...)
	if err != nil {
		return false, err
	}
	if bytes.Equal(source, output) {
		return false, nil
	}
	// The new text must mean what the old one did, whatever YAML was in it.
	var own findings
	after, err := decode(output, &own)
	if err != nil || (len(extra) == 0 && !reflect.DeepEqual(cfg, after)) {
		return false, errors.New("it uses YAML that does not survive a change of layout (anchors, perhaps)")
	}
	if err = replaceFile(path, output); err != nil {
		return false, err
	}
	return true, nil
}

// render gives the text of the file in the newest layout.
func render(path string, extra ...configupgrade.Upgrader) ([]byte, error) {
	output, _, err := configupgrade.Do(path, false, newUpgrader(), extra...)
	if err != nil {
		return nil, err
	}
	// The encoder indents the blank lines, too.
	return regexp.MustCompile(`(?m)^ +$`).ReplaceAll(output, nil), nil
}

// SaveTokens writes the tokens of the application service into the file at path
// and brings it to the newest layout; an empty token leaves that key alone. It
// fails if the file cannot be written or holds unknown keys.
func SaveTokens(path string, asToken, hsToken Secret) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("failed to read config: %w", err)
	}
	var found findings
	cfg, err := decode(source, &found)
	if err != nil {
		return err
	}
	tokens := configupgrade.SimpleUpgrader(func(helper configupgrade.Helper) {
		if asToken != "" {
			helper.Set(configupgrade.Str, string(asToken), "appservice", "as_token")
		}
		if hsToken != "" {
			helper.Set(configupgrade.Str, string(hsToken), "appservice", "hs_token")
		}
	})
	if _, err = rewrite(path, source, cfg, found.unknown, tokens); err != nil {
		return fmt.Errorf("failed to save the tokens in %s: %w", path, err)
	}
	return nil
}

// newUpgrader copies every key that the struct has from the user's file into
// the example, and keeps the example's blank lines, which the YAML package
// would drop.
func newUpgrader() *configupgrade.StructUpgrader {
	base := timbridge.ExampleConfig()
	section := reflect.TypeFor[Config]()
	return &configupgrade.StructUpgrader{
		SimpleUpgrader: func(helper configupgrade.Helper) {
			for _, path := range leafPaths(section) {
				helper.Copy(copyTypes(helper, path), path...)
			}
		},
		Blocks: spacedKeys(base),
		Base:   base,
	}
}

// copyTypes says what may be copied to a key. The types have been checked by
// conform before; left is that an empty value means the default, which for
// text is an empty text and otherwise what the example says.
func copyTypes(helper configupgrade.Helper, path []string) configupgrade.YAMLType {
	const scalars = configupgrade.Str | configupgrade.Int | configupgrade.Float | configupgrade.Bool | configupgrade.Timestamp
	switch node := helper.GetBaseNode(path...); {
	case node == nil:
		return 0
	case node.Kind == yaml.MappingNode:
		return configupgrade.Map
	case node.Kind == yaml.SequenceNode:
		return configupgrade.List
	case node.Tag == configupgrade.StrTag:
		return scalars | configupgrade.Null
	default:
		return scalars
	}
}

// spacedKeys finds the keys of the example whose comment has a blank line above.
func spacedKeys(base string) [][]string {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(base), &doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	lines := strings.Split(base, "\n")
	var out [][]string
	var walk func(node *yaml.Node, path []string)
	walk = func(node *yaml.Node, path []string) {
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			full := append(path[:len(path):len(path)], key.Value)
			above := key.Line - 2 // lines count from 1
			for above >= 0 && strings.HasPrefix(strings.TrimSpace(lines[above]), "#") {
				above--
			}
			if key.HeadComment != "" && above > 0 && lines[above] == "" && key.Line > 1 && i+len(path) > 0 {
				out = append(out, full)
			}
			if node.Content[i+1].Kind == yaml.MappingNode {
				walk(node.Content[i+1], full)
			}
		}
	}
	walk(doc.Content[0], nil)
	return out
}

// replaceFile puts new content in the place of a file, all of it or nothing,
// and keeps the file's permissions. A symbolic link keeps pointing at it.
func replaceFile(path string, content []byte) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o200 == 0 { // renaming over it would work, but somebody said no
		return fmt.Errorf("failed to write: %w", fs.ErrPermission)
	}
	temp, err := os.CreateTemp(filepath.Dir(target), ".timbridge-config-*.yaml")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // gone already if all went well
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(info.Mode().Perm()), temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	return os.Rename(temp.Name(), target)
}
