package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/timbridge/timbridge/bridge/config"
)

// Probe looks whether the database can be used, without changing it and also
// while a timbridge runs on it. It returns a few words about what it found; the
// errors are those of [Open].
func Probe(ctx context.Context, cfg config.Database) (string, error) {
	loc, err := locate(cfg)
	if err != nil {
		return "", err
	}
	db, err := OpenReadOnly(ctx, cfg)
	if errors.Is(err, ErrNotFound) {
		return probeFolder(loc.path)
	} else if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	var tables int
	if err = db.QueryRow(ctx, "SELECT COUNT(*) FROM sqlite_schema WHERE type='table'").Scan(&tables); err != nil {
		return "", explain("read", loc.path, err)
	}
	// Opening for writing tells whether we may; nothing is written.
	file, err := os.OpenFile(loc.path, os.O_RDWR, 0)
	if err != nil {
		return "", explain("write", loc.path, err)
	}
	if err = file.Close(); err != nil {
		return "", explain("write", loc.path, err)
	}
	return fmt.Sprintf("%s, %d tables", loc.path, tables), nil
}

// probeFolder looks whether a database could be made.
func probeFolder(path string) (string, error) {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); err != nil {
		return "", fmt.Errorf("failed to open database %s: the folder %s is missing: make it, or correct database.uri", path, folder)
	}
	probe, err := os.CreateTemp(folder, ".timbridge-probe-*")
	if err != nil {
		return "", explain("make", path, err)
	}
	if err = errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return "", explain("make", path, err)
	}
	return path + " will be made at the first start", nil
}
