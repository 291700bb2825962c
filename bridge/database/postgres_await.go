package database

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/timbridge/timbridge/bridge/config"
)

const (
	// awaitPause is how long to wait before a server that does not answer is asked again.
	awaitPause = 500 * time.Millisecond
	// awaitTell is how often is said what is waited for.
	awaitTell = 10 * time.Second
)

// Await waits until the PostgreSQL server takes us in, for cfg.StartWait at most: a machine that starts may have it ready after us, and a
// server that has crashed refuses everybody while it recovers. What waiting cannot cure (a wrong password, a database that is not there)
// is an error at once, and so is what is still wrong in the end, in words for the operator. It says in the log that it waits. For SQLite,
// which is not waited for, it returns nil.
func Await(ctx context.Context, cfg config.Database) error {
	if cfg.Type != config.DatabasePostgres {
		return nil
	}
	s, err := parseServer(string(cfg.URI))
	if err != nil {
		return nil // for who opens it to say
	}
	log := zerolog.Ctx(ctx)
	began, told := time.Now(), time.Time{}
	for {
		if err = s.greet(ctx); err == nil {
			if !told.IsZero() {
				log.Info().Msg("The database server is there")
			}
			return nil
		}
		waited := time.Since(began)
		if !Unreachable(err) || waited >= cfg.StartWait {
			return explainServer(s, err)
		}
		if time.Since(told) >= awaitTell {
			told = time.Now()
			log.Warn().Err(err).Stringer("at_most", (cfg.StartWait - waited).Round(time.Second)).Msg("Waiting for the database server")
		}
		if !pause(ctx, min(awaitPause, cfg.StartWait-waited)) {
			return ctx.Err()
		}
	}
}

// greet connects and leaves again.
func (s server) greet(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, s.config.Copy())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}
