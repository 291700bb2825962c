package database

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// busyTimeout is how long, in milliseconds, a connection waits for another
// one's write transaction. Ours are short; only a checkpoint takes longer.
const busyTimeout = "10000"

// location is a database file and the settings that the operator added.
type location struct {
	// path is absolute.
	path string
	// pragmas are the operator's own, such as "cache_size(-20000)".
	pragmas []string
}

// parseURI understands a plain path and the forms of file: URI that users of
// mautrix bridges know. Options that timbridge decides itself are taken and
// ignored (they ask for what is done anyway, or for what would be unsafe).
func parseURI(uri string) (location, error) {
	rest, isURI := strings.CutPrefix(uri, "file:")
	path, query, _ := strings.Cut(rest, "?")
	if isURI {
		if after, hasHost := strings.CutPrefix(path, "//"); hasHost {
			host, abs, _ := strings.Cut(after, "/")
			if host != "" && host != "localhost" {
				return location{}, fmt.Errorf("file://%s/... names another machine: write file:/path or file:path", host)
			}
			path = "/" + abs
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return location{}, fmt.Errorf("the path holds a %% that is no escape: write %%25 for it, or give a plain path without file: in front")
		}
		path = decoded
	}
	if path == "" {
		return location{}, errors.New("it names no file: write, for instance, file:timbridge.db")
	}
	if path == ":memory:" {
		return location{}, errors.New("a database in memory forgets everything: name a file, for instance file:timbridge.db")
	}
	if strings.ContainsRune(path, 0) {
		return location{}, errors.New("the path holds a zero byte")
	}
	pragmas, err := parseOptions(query)
	if err != nil {
		return location{}, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return location{}, fmt.Errorf("failed to find the current folder: %w", err)
	}
	return location{path: abs, pragmas: pragmas}, nil
}

// parseOptions reads what stands after the question mark.
func parseOptions(query string) (pragmas []string, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("what stands after ? is not of the form name=value&name=value")
	}
	for name, list := range values {
		switch name {
		case "_pragma":
			for _, pragma := range list {
				if strings.ContainsAny(pragma, ";") {
					return nil, fmt.Errorf("_pragma=%s holds more than one statement", pragma)
				}
				if !isOurs(pragma) {
					pragmas = append(pragmas, pragma)
				}
			}
		case "mode":
			if list[0] != "rwc" && list[0] != "rw" {
				return nil, fmt.Errorf("mode=%s will not do, timbridge has to write to its database: remove it", list[0])
			}
		case "_txlock", "_journal_mode", "_journal", "_synchronous", "_sync", "_foreign_keys", "_fk",
			"_busy_timeout", "_timeout", "_loc", "cache":
		default:
			return nil, fmt.Errorf("the option %s is not known: remove it", name)
		}
	}
	return pragmas, nil
}

// isOurs tells the settings that are not left to the operator.
func isOurs(pragma string) bool {
	name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(pragma)), "(")
	name, _, _ = strings.Cut(name, "=")
	switch strings.TrimSpace(name) {
	case "journal_mode", "synchronous", "foreign_keys", "busy_timeout", "locking_mode", "query_only":
		return true
	default:
		return false
	}
}

// dsn is the name under which the driver opens the location.
func (l location) dsn(readOnly bool) string {
	query := url.Values{"_pragma": {"busy_timeout(" + busyTimeout + ")", "foreign_keys(1)"}}
	if readOnly {
		query.Set("mode", "ro")
		query.Add("_pragma", "query_only(1)")
	} else {
		query.Set("mode", "rw") // the file was made before, with the right permissions
		query.Set("_txlock", "immediate")
		query.Add("_pragma", "journal_mode(WAL)")
		query.Add("_pragma", "synchronous(FULL)")
		// Fewer, larger checkpoints: each writes every changed page once more.
		query.Add("_pragma", "wal_autocheckpoint(4096)")
	}
	if !slices.ContainsFunc(l.pragmas, func(p string) bool { return strings.HasPrefix(p, "cache_size") }) {
		query.Add("_pragma", "cache_size(-16384)") // KiB for each connection
	}
	query["_pragma"] = append(query["_pragma"], l.pragmas...)
	return (&url.URL{Scheme: "file", Path: l.path, RawQuery: query.Encode()}).String()
}
