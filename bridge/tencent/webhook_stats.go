package tencent

import "sync/atomic"

// WebhookStats counts what became of webhooks since the start. Each is counted once
// among Refused to Failed, and, where there is a backend to pass it on to, once in the last two.
type WebhookStats struct {
	// Refused: not admitted.
	Refused uint64
	// Malformed: could not be read; logged.
	Malformed uint64
	// Ignored: of a command of no interest.
	Ignored uint64
	// Unlinked: of a group of no interest.
	Unlinked uint64
	// Dropped: too many at a time.
	Dropped uint64
	// Handled: stored. Failed: not stored.
	Handled, Failed uint64
	// Late: of Handled and Failed, those answered as failed because they took too long.
	Late uint64
	// Forwarded: answered by the app's backend. ForwardFailed: not answered in time.
	Forwarded, ForwardFailed uint64
}

type webhookCounters struct {
	refused, malformed, ignored, unlinked, dropped, handled, failed, late, forwarded, forwardFailed atomic.Uint64
}

// Stats returns the counts so far.
func (w *Webhooks) Stats() WebhookStats {
	s := &w.stats
	return WebhookStats{
		Refused: s.refused.Load(), Malformed: s.malformed.Load(), Ignored: s.ignored.Load(), Unlinked: s.unlinked.Load(),
		Dropped: s.dropped.Load(), Handled: s.handled.Load(), Failed: s.failed.Load(), Late: s.late.Load(),
		Forwarded: s.forwarded.Load(), ForwardFailed: s.forwardFailed.Load(),
	}
}
