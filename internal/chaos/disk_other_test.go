//go:build !linux

package chaos

import "errors"

// limitFiles: only Linux can take the disk away from a running process.
func limitFiles(int, uint64) error { return errors.ErrUnsupported }
