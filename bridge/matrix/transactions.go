package matrix

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/exhttp"
	"maunium.net/go/mautrix"
)

const (
	// maxTransaction bounds the body of a transaction. Synapse puts at most 100 events into one and
	// an event has at most 64 KiB, so that nothing legitimate is larger.
	maxTransaction = 32 << 20
	// maxQuery bounds the bodies of the other calls, of which only the ping has one.
	maxQuery = 1 << 20
)

// The probes' paths.
const (
	PathLive  = "/_matrix/mau/live"
	PathReady = "/_matrix/mau/ready"
)

// Handler serves what the homeserver calls: transactions (by us, see Intake), ping, users and rooms
// (by mautrix) and the probes /_matrix/mau/live and /_matrix/mau/ready. The server around it should
// have ReadHeaderTimeout and ReadTimeout set, and no WriteTimeout below the slowest commit.
func (a *AppService) Handler() http.Handler {
	return a.handler
}

// SetLive sets what /_matrix/mau/live answers: 200 or 500. It begins as live.
func (a *AppService) SetLive(live bool) { a.live.Store(live) }

// SetReady sets what /_matrix/mau/ready answers: 200 or 500. It begins as not ready.
func (a *AppService) SetReady(ready bool) { a.ready.Store(ready) }

// newHandler puts a mux in front of mautrix's router, which has a transactions handler of its own that
// answers before anything is stored and forgets what it de-duplicates by.
func (a *AppService) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /_matrix/app/v1/transactions/{txnID}", a.putTransaction)
	mux.HandleFunc("GET "+PathLive, probe(a.live.Load))
	mux.HandleFunc("GET "+PathReady, probe(a.ready.Load))
	mux.Handle("/", http.MaxBytesHandler(a.as.Router, maxQuery))
	return mux
}

func probe(ok func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status := http.StatusInternalServerError
		if ok() {
			status = http.StatusOK
		}
		exhttp.WriteEmptyJSONResponse(w, status)
	}
}

// putTransaction answers 200 after the commit and not before. The transaction id does not tell what is new: Synapse
// on SQLite starts again at 1 after a restart, Dendrite sends more events under the same id.
func (a *AppService) putTransaction(w http.ResponseWriter, r *http.Request) {
	if !a.as.CheckServerToken(w, r) {
		return
	}
	log := a.log.With().Str("transaction_id", cut(r.PathValue("txnID"), maxID)).Logger()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxTransaction))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			log.Error().Msg("Refused a transaction that is too large")
			mautrix.MTooLarge.WithMessage("The transaction is larger than %d bytes", maxTransaction).Write(w)
			return
		}
		mautrix.MNotJSON.WithMessage("Failed to read the request body").Write(w)
		return
	}
	txn, err := parseTransaction(body, func(what string, err error) {
		log.Warn().Err(err).Str("what", what).Msg("Dropped a malformed piece of a transaction")
	})
	if err != nil {
		log.Warn().Err(err).Msg("Refused a transaction that is no JSON object")
		if errors.Is(err, errNoObject) && len(body) > 0 {
			mautrix.MBadJSON.WithMessage("The body is no JSON object").Write(w)
		} else {
			mautrix.MNotJSON.WithMessage("The body is no JSON").Write(w)
		}
		return
	}
	if a.push.sawPush(txn.receipts, time.Now()) {
		log.Info().Stringer("pushes", PushYes).Msg("The homeserver pushes receipts, reading /sync at intervals only")
	}
	// Dendrite sends a transaction again while the first request still runs: one after the other.
	select {
	case a.txnSlot <- struct{}{}:
		defer func() { <-a.txnSlot }()
	case <-r.Context().Done():
		// Nobody listens any more, but a silent return would be a 200.
		mautrix.MUnknown.WithMessage("Another transaction is being handled").Write(w)
		return
	}
	if a.overtakes(r.PathValue("txnID")) {
		log.Info().Msg("Refused a transaction once, so that the homeserver sends an earlier one that has not come")
		mautrix.MUnknown.WithMessage("An earlier transaction has not come").Write(w)
		a.SyncNow() // its receipts will not come again
		return
	}
	// The work goes on when the homeserver gives up: what is committed need not be sent again.
	ctx := log.WithContext(context.WithoutCancel(r.Context()))
	if err = a.handleTransaction(ctx, txn); err != nil {
		log.Error().Err(err).Msg("Failed to handle a transaction, the homeserver will send it again")
		mautrix.MUnknown.WithMessage("The transaction could not be stored").Write(w)
		if len(txn.receipts) > 0 {
			// Its receipts will not come again, but /sync has them.
			a.SyncNow()
		}
		return
	}
	a.lastTxn = txnNumber(r.PathValue("txnID"))
	exhttp.WriteEmptyJSONResponse(w, http.StatusOK)
}

// maxOvertaken is how far ahead an id may be and still speak of transactions in between.
const maxOvertaken = 1000

// overtakes tells whether a transaction should wait for an earlier one. Synapse 1.160.0 numbers them. Killed while one is under way, it
// has that one kept, sends the next ones first, and sends the one it kept when one has failed: it then begins with the oldest. The gap
// may as well be another application service's, so a transaction is refused once for each time that the homeserver was away.
func (a *AppService) overtakes(txnID string) bool {
	n, outages := txnNumber(txnID), a.Outages()
	if a.lastTxn == 0 || n <= a.lastTxn+1 || n > a.lastTxn+maxOvertaken || outages == a.askedAt {
		return false
	}
	a.askedAt = outages
	return true
}

// txnNumber returns a transaction id as a number, 0 if it is none.
func txnNumber(txnID string) int64 {
	n, err := strconv.ParseInt(txnID, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// handleTransaction hands a transaction to the intake; a panic there becomes an error.
func (a *AppService) handleTransaction(ctx context.Context, txn transaction) (err error) {
	if len(txn.events) == 0 && len(txn.receipts) == 0 {
		return nil
	}
	defer recovered(ctx, &err)
	return a.intake.HandleTransaction(ctx, txn.events, txn.receipts)
}

// recovered turns a panic of the intake into an error: one odd event must not end the process.
func recovered(ctx context.Context, err *error) {
	if value := recover(); value != nil {
		zerolog.Ctx(ctx).Error().Any("panic", value).Bytes("stack", debug.Stack()).Msg("Intake panicked")
		*err = fmt.Errorf("panic in the intake: %v", value)
	}
}
