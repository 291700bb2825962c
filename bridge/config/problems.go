package config

import (
	"fmt"
	"strings"
)

// ProblemsError lists everything that is wrong with a configuration, so that it
// can be put right in one go. Each line names the key and says what to do. It
// never holds the value of a secret.
type ProblemsError struct {
	// Problems are lines like `tencent.sdk_app_id: set it to ...`.
	Problems []string
}

// Error lists the problems, one a line.
func (e *ProblemsError) Error() string {
	if len(e.Problems) == 1 {
		return e.Problems[0]
	}
	return fmt.Sprintf("%d problems:\n  - %s", len(e.Problems), strings.Join(e.Problems, "\n  - "))
}

// findings collects what is wrong (problems) and what is odd (warnings).
type findings struct {
	problems []string
	warnings []string
	// unknown counts the keys of the file that timbridge does not know.
	unknown int
}

func (f *findings) problem(key, format string, args ...any) {
	f.problems = append(f.problems, key+": "+fmt.Sprintf(format, args...))
}

func (f *findings) warn(key, format string, args ...any) {
	f.warnings = append(f.warnings, key+": "+fmt.Sprintf(format, args...))
}

func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return &ProblemsError{Problems: f.problems}
}
