package matrixtest

import (
	"net/http"
	"time"
)

// Options are the ways in which homeservers differ.
type Options struct {
	// ServerName is the domain of all users and rooms, "localhost" if empty.
	ServerName string
	// PushReceipts: receipts are in the transactions, under both names that Synapse gives them.
	PushReceipts bool
	// PushPrivate: private receipts of anybody are pushed as well.
	PushPrivate bool
	// KeepThreads: the thread_id of a receipt is kept and checked; without it each user has one
	// receipt per room and type.
	KeepThreads bool
	// OlderIgnored: a receipt at or before the one that is there changes nothing (answered 200).
	OlderIgnored bool
	// UnknownStored: a receipt for an event that the room has not is stored and shown.
	UnknownStored bool
	// StrangersForbidden: a receipt for an event that the user may not see is a 403 instead of being
	// stored. Who has left may still see, and mark, what was there before.
	StrangersForbidden bool
	// NoSenderSync: /sync as sender_localpart is a 500.
	NoSenderSync bool
	// LeaveUnknown: leaving a room that one is not in is a 400 M_UNKNOWN instead of a 403.
	LeaveUnknown bool
	// ForeignUnknown: /context of an event in another room is a 404 M_UNKNOWN instead of M_NOT_FOUND.
	ForeignUnknown bool
	// NoRedactions: redactions are not in the transactions.
	NoRedactions bool
	// Ping: the appservice ping exists.
	Ping bool
	// GrowOnRetry: a transaction is sent again under the same id with more events.
	GrowOnRetry bool
	// RestartIDs: transaction ids begin at 1 again after Restart.
	RestartIDs bool
	// NoStateFormat: format=event of /state is not known, the content alone is given. (Neither Synapse nor Dendrite.)
	NoStateFormat bool
	// AnyAlias: createRoom takes any alias that is free, also one that an application service has reserved.
	AnyAlias bool
	// RoomVersion is that of rooms whose creator does not ask for one, "10" if empty.
	RoomVersion string
	// MaxUpload is the largest file in bytes, 10 MiB if zero.
	MaxUpload int
	// MaxEvents is how many events a transaction holds at most.
	MaxEvents int
	// Transport is the way to application services. If it is set the server listens nowhere and is reached by Handler, so that
	// everything happens within one process, in virtual time too (testing/synctest).
	Transport http.RoundTripper
	// RetryPause is the pause before a failed transaction is sent again, doubled each time up to 20
	// times; 2 ms if zero.
	RetryPause time.Duration
}

// Synapse returns what was seen on Synapse 1.160.0 with SQLite.
func Synapse() Options {
	return Options{
		PushReceipts:       true,
		PushPrivate:        true,
		KeepThreads:        true,
		OlderIgnored:       true,
		StrangersForbidden: true,
		NoSenderSync:       true,
		ForeignUnknown:     true,
		Ping:               true,
		RestartIDs:         true,
		MaxEvents:          100,
	}
}

// Dendrite returns what was seen on Dendrite 0.15.2.
func Dendrite() Options {
	return Options{UnknownStored: true, LeaveUnknown: true, GrowOnRetry: true, NoRedactions: true, AnyAlias: true, MaxEvents: 50}
}

func (o *Options) setDefaults() {
	if o.ServerName == "" {
		o.ServerName = "localhost"
	}
	if o.MaxEvents <= 0 {
		o.MaxEvents = 100
	}
	if o.MaxUpload <= 0 {
		o.MaxUpload = 10 << 20
	}
	if o.RetryPause <= 0 {
		o.RetryPause = 2 * time.Millisecond
	}
}
