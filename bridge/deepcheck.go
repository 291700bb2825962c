package bridge

import (
	"maunium.net/go/mautrix/id"

	"github.com/timbridge/timbridge/bridge/config"
	"github.com/timbridge/timbridge/bridge/deepcheck"
)

// DeepOptions is how the configuration wants a database to be checked.
func DeepOptions(cfg *config.Config) (deepcheck.Options, error) {
	senders, err := config.CompileSenders(cfg.Mapping.StampSenders)
	if err != nil {
		return deepcheck.Options{}, err
	}
	return deepcheck.Options{
		GapAfter: cfg.Receipts.GapAfter, HoleAfter: cfg.Receipts.HoleAfter, Window: cfg.Receipts.Window,
		Foreign: func(mxid id.UserID) bool { return senders.Match(mxid.String()) },
	}, nil
}
