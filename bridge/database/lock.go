package database

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lockSuffix is added to the name of the database for the lock file.
const lockSuffix = ".lock"

// takeLock takes the advisory lock beside the database at path. The lock ends
// with the process, however that ends, so a lock file that lies about means
// nothing. The file is never removed: a new one under the same name could be
// locked while the old one still is.
func takeLock(path string) (io.Closer, error) {
	// Two names of one file must lead to one lock.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	file, err := os.OpenFile(path+lockSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("failed to open the lock file: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder := lockHolder(file)
		_ = file.Close()
		return nil, fmt.Errorf("%w%s", ErrLocked, holder)
	} else if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("failed to lock %s: %w", file.Name(), err)
	}
	// The process ID is for the reader of the error text only.
	if err = file.Truncate(0); err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("failed to write the lock file: %w", err)
	}
	return file, nil
}

// lockHolder names the process that holds the lock, if the file tells.
func lockHolder(file *os.File) string {
	content := make([]byte, 20)
	n, _ := file.ReadAt(content, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(content[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}
