package main

import (
	"errors"
	"fmt"

	"github.com/timbridge/timbridge/bridge/database"
)

// Exit codes. Those up to 22 mean what they mean with mautrix bridges, so that
// scripts and service files carry over.
const (
	exitOK = 0
	// exitUsage: a wrong flag or argument, or a failure without a code of its own.
	exitUsage = 1
	// exitNoUpdate: -g needs to write the config, -n forbids it.
	exitNoUpdate = 5
	// exitConfig: the config cannot be read; exitInvalidConfig: a value in it
	// will not do; exitLogging: its logging section will not do.
	exitConfig        = 10
	exitInvalidConfig = 11
	exitLogging       = 12
	// exitDatabase: the database cannot be opened; exitDamagedDatabase: it is none.
	exitDatabase        = 14
	exitDamagedDatabase = 18
	// exitStart: the bridge did not start, or stopped by itself; with every command:
	// a newer timbridge has written the database.
	exitStart = 15
	// exitDomain: -g with the domain of the example; exitRegistration: the
	// registration cannot be written; exitSaveConfig: the config cannot.
	exitDomain       = 20
	exitRegistration = 21
	exitSaveConfig   = 22
	// exitData: import found rows that will not do, or export failed.
	exitData = 40
	// exitCheck: check found something that has to be put right.
	exitCheck = 41
	// exitNotRunning: link and unlink found no timbridge that answers;
	// exitRefused: it did, and said no.
	exitNotRunning = 42
	exitRefused    = 43
)

// codedError is an error that knows its exit code.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// failure makes an error with an exit code.
func failure(code int, format string, args ...any) error {
	return &codedError{code: code, err: fmt.Errorf(format, args...)}
}

// exitCode finds the code of an error.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	default:
		return exitUsage
	}
}

// databaseFailure gives an error of package database its exit code.
func databaseFailure(err error) error {
	switch {
	case errors.Is(err, database.ErrDamaged):
		return &codedError{code: exitDamagedDatabase, err: err}
	case errors.Is(err, database.ErrNewer):
		return &codedError{code: exitStart, err: err}
	}
	return &codedError{code: exitDatabase, err: err}
}
