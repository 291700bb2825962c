package config

import "time"

// Types of a database, see [Database.Type].
const (
	// DatabaseSQLite is SQLite with foreign keys and write-ahead log.
	// DatabaseSQLite3 means the same here.
	DatabaseSQLite  = "sqlite3-fk-wal"
	DatabaseSQLite3 = "sqlite3"
	// DatabasePostgres is a PostgreSQL server.
	DatabasePostgres = "postgres"
)

// Database says where the state is kept.
type Database struct {
	Type string `yaml:"type"`
	// URI is a path or file: URI for SQLite. It may carry a password on
	// PostgreSQL and is therefore never logged.
	URI          Secret `yaml:"uri"`
	MaxOpenConns int    `yaml:"max_open_conns"`
	MaxIdleConns int    `yaml:"max_idle_conns"`
	// MaxConnIdleTime and MaxConnLifetime are after which a connection is closed
	// that is idle, or at all; 0 is never.
	MaxConnIdleTime time.Duration `yaml:"max_conn_idle_time"`
	MaxConnLifetime time.Duration `yaml:"max_conn_lifetime"`
	// StartWait is how long a server that is not there yet is waited for at start.
	StartWait time.Duration `yaml:"start_wait"`
}
