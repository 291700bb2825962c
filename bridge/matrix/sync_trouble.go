package matrix

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
)

// refused deals with a failed read of /sync and returns the pause before the next.
func (l *syncLoop) refused(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	var temporary *TemporaryError
	switch {
	case errors.Is(err, ErrUnknownToken), errors.As(err, &temporary):
		return l.fail(ctx, err)
	case errors.Is(err, ErrForbidden):
		// A homeserver set up anew has forgotten the bot, whatever the state store says.
		pause := l.fail(ctx, err)
		if err = l.register(ctx, l.bot); err != nil {
			zerolog.Ctx(ctx).Debug().Err(err).Msg("Failed to register the bot again")
		}
		return pause
	case l.token != "":
		// Any other refusal of a request that is otherwise always the same is about its token.
		zerolog.Ctx(ctx).Warn().Err(err).Msg("The homeserver refused the sync token, starting without one")
		l.token = ""
		l.caughtUp = false
		return l.nextPause(0)
	default:
		return l.fail(ctx, err)
	}
}

// fail logs a trouble unless it is the one logged last, and returns the pause.
func (l *syncLoop) fail(ctx context.Context, err error) time.Duration {
	if ctx.Err() != nil {
		return 0
	}
	// What was pushed meanwhile may be forgotten when /sync comes to it.
	l.caughtUp = false
	trouble, text := describe(err)
	if trouble != l.trouble {
		l.trouble = trouble
		zerolog.Ctx(ctx).Error().Err(err).Str("trouble", trouble).Msg(text)
	}
	var temporary *TemporaryError
	var asked time.Duration
	if errors.As(err, &temporary) {
		asked = temporary.RetryAfter
	}
	return l.nextPause(asked)
}

// nextPause doubles the pause and keeps to what the homeserver asked for.
func (l *syncLoop) nextPause(asked time.Duration) time.Duration {
	pause := l.cfg.MinBackoff << min(l.failures, 16)
	l.failures++
	if pause <= 0 || pause > l.cfg.MaxBackoff {
		pause = l.cfg.MaxBackoff
	}
	return max(jitter(pause), asked)
}

// recovered forgets the troubles.
func (l *syncLoop) recovered(ctx context.Context) {
	if l.trouble != "" {
		zerolog.Ctx(ctx).Info().Str("trouble", l.trouble).Int("failures", l.failures).Msg("Reading /sync works again")
	}
	l.trouble = ""
	l.failures = 0
}

// describe sorts an error into a kind, logged once each time it appears, and a text for the operator.
func describe(err error) (trouble, text string) {
	var temporary *TemporaryError
	var refused *RequestError
	switch {
	case errors.Is(err, ErrUnknownToken):
		return "as_token", "The homeserver does not know our as_token: install the registration there and restart it"
	case errors.Is(err, ErrForbidden):
		return "forbidden", "The homeserver does not let the bot read /sync: does the registration have the bot's namespace?"
	case errors.As(err, &refused) && refused.Status >= 500:
		return "server_error", "The homeserver fails at /sync of the bot, trying again"
	case errors.As(err, &refused):
		return "refused", "The homeserver refuses /sync of the bot, trying again"
	case errors.As(err, &temporary):
		return "unreachable", "Cannot read /sync of the bot, trying again"
	default:
		return "intake", "Failed to take receipts of /sync, trying again"
	}
}
