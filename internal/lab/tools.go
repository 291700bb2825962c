package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Kind is a homeserver implementation.
type Kind string

// The homeservers that timbridge is tested on.
const (
	Synapse  Kind = "synapse"
	Dendrite Kind = "dendrite"
)

// Kinds returns all homeservers that timbridge is tested on, there or not.
func Kinds() []Kind { return []Kind{Synapse, Dendrite} }

// The name of matrix-js-sdk among the things that the scripts fetch.
const jsSDK = "jssdk"

// MissingError says that something the lab runs is not on this machine, and why.
type MissingError struct {
	Name   string // "synapse", "dendrite" or "jssdk"
	Reason string // one line
}

// Error names what is missing, the reason, and how to get it.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is left out: %s", e.Name, e.Reason)
}

// Available returns nil when the homeserver was fetched, else a *[MissingError].
func Available(kind Kind) error {
	_, err := toolDir(string(kind))
	return err
}

// JSAvailable returns nil when matrix-js-sdk and Node.js are there, else a *[MissingError].
func JSAvailable() error {
	_, err := toolDir(jsSDK)
	return err
}

// toolDir returns the folder in which a fetch script put name.
func toolDir(name string) (string, error) {
	dir, err := Dir()
	if err != nil {
		return "", &MissingError{Name: name, Reason: err.Error()}
	}
	if reason, err := os.ReadFile(filepath.Join(dir, name+".missing")); err == nil {
		return "", &MissingError{Name: name, Reason: strings.TrimSpace(string(reason))}
	}
	if _, err = os.Stat(filepath.Join(dir, name, "stamp")); err != nil {
		return "", &MissingError{Name: name, Reason: "it was not fetched yet: run `make lab`"}
	}
	return filepath.Join(dir, name), nil
}

// Dir returns the folder of what the fetch scripts got: $TIMBRIDGE_LAB, else .lab in timbridge's source tree, which is
// looked for from the working directory upwards.
func Dir() (string, error) {
	if dir := os.Getenv("TIMBRIDGE_LAB"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("failed to make TIMBRIDGE_LAB absolute: %w", err)
		}
		return abs, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("failed to get working directory: %w", err)
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(mod), "module github.com/timbridge/timbridge\n") {
			return filepath.Join(dir, ".lab"), nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("set TIMBRIDGE_LAB, or run inside timbridge's source tree")
		}
		dir = parent
	}
}
