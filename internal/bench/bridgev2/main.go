// bridgev2 is what a user would take instead of timbridge: a bridge on mautrix-go's bridgev2, with the smallest network connector that
// does the same with receipts. The benchmarks of timbridge (internal/bench) run it beside timbridge.
//
// It lives in a Go module of its own, so that timbridge's go.mod holds nothing that only a benchmark needs. mautrix is under the
// MPL-2.0; nothing here is taken from a bridge.
//
// Its SQLite is the one that mautrix bridges ship: github.com/mattn/go-sqlite3 by go.mau.fi/util/dbutil/litestream, type
// sqlite3-fk-wal, which commits with synchronous=NORMAL.
package main

import (
	"fmt"
	"os"

	"maunium.net/go/mautrix/bridgev2/matrix/mxmain"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "seed" {
		if err := seed(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bridgev2 seed:", err)
			os.Exit(1)
		}
		return
	}
	m := mxmain.BridgeMain{
		Name:        "bench-bridgev2",
		Description: "the smallest bridge of receipts on bridgev2, to compare timbridge with",
		URL:         "https://github.com/timbridge/timbridge",
		Version:     "0.31.0",
		Connector:   &connector{},
	}
	m.InitVersion("unknown", "unknown", "unknown")
	m.Run()
}
