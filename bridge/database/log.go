package database

import (
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
)

// slowQuery is from when on a query is worth a line in the log.
const slowQuery = time.Second

// slowLog reports slow queries and schema upgrades. Unlike dbutil's own logger
// it never writes the arguments of a query: they hold message IDs and texts.
type slowLog struct {
	// fallback is used where the context of a query carries no logger.
	fallback *zerolog.Logger
}

var _ dbutil.DatabaseLogger = slowLog{}

// QueryTiming implements dbutil.DatabaseLogger.
func (l slowLog) QueryTiming(ctx context.Context, method, query string, _ []any, _ int, took time.Duration, err error) {
	if took < slowQuery {
		return
	}
	l.logger(ctx).Warn().Err(err).Str("method", method).Str("query", strings.Join(strings.Fields(query), " ")).
		Dur("took", took).Msg("Query took long")
}

// WarnUnsupportedVersion implements dbutil.DatabaseLogger.
func (l slowLog) WarnUnsupportedVersion(current, compat, latest int) {
	l.fallback.Warn().Int("current_version", current).Int("oldest_compatible_version", compat).
		Int("latest_known_version", latest).Msg("Database schema is newer than this version knows, continuing")
}

// PrepareUpgrade implements dbutil.DatabaseLogger.
func (l slowLog) PrepareUpgrade(current, _, latest int) {
	if current < latest {
		l.fallback.Info().Int("current_version", current).Int("latest_known_version", latest).
			Msg("Preparing to upgrade database schema")
	}
}

// DoUpgrade implements dbutil.DatabaseLogger.
func (l slowLog) DoUpgrade(from, to int, message string, _ dbutil.TxnMode) {
	l.fallback.Info().Int("from", from).Int("to", to).Str("description", message).Msg("Upgrading database schema")
}

// Warn implements dbutil.DatabaseLogger; the method is deprecated there and
// no longer called with arguments of ours.
func (l slowLog) Warn(message string, args ...any) {
	l.fallback.Warn().Str("warning", message).Interface("details", args).Msg("Database warning")
}

func (l slowLog) logger(ctx context.Context) *zerolog.Logger {
	if log := zerolog.Ctx(ctx); log.GetLevel() != zerolog.Disabled && log != zerolog.DefaultContextLogger {
		return log
	}
	return l.fallback
}
