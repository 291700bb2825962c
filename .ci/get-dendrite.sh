#!/bin/bash
# Builds a real Dendrite for the tests and the demo: the version pinned in internal/homeservers/go.mod (checked
# against the go.sum beside it) into $TIMBRIDGE_LAB/dendrite (default .lab/dendrite). Needs Go alone: with
# CGO_ENABLED=0 Dendrite takes a SQLite written in Go, so no C compiler. Run again it returns at once.
#
# Exit: 0 it is there; 3 it cannot be had here (the reason is printed and kept in $TIMBRIDGE_LAB/dendrite.missing).
set -euo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"
source=$repo/internal/homeservers
lab_begin dendrite "$0" "$source/go.mod" "$source/go.sum"

command -v go >/dev/null || lab_missing "Dendrite is built from source and go is not here"

new=$home.new
rm -rf "$new"
mkdir -p "$new"
lab_say "building Dendrite (1 to 2 minutes the first time, 160 MB of modules to download)"
# go names each module that it downloads and each package that it compiles: shown as a count.
(
	cd "$source"
	GOWORK=off GOFLAGS=-buildvcs=false CGO_ENABLED=0 GOOS='' GOARCH='' GOBIN=$new go install -v tool 2>&1
) | tee "$log" | awk '
	/^go: downloading/ { modules++; if (modules % 50 == 0) print "timbridge lab: " modules " modules downloaded"; next }
	{ packages++; if (packages % 150 == 0) print "timbridge lab: " packages " packages compiled" }
	{ fflush() }' >&2 || lab_missing "Dendrite cannot be built: $(lab_last_error)"

version=$(cd "$source" && GOWORK=off GOFLAGS=-buildvcs=false go list -m -f '{{.Version}}' github.com/element-hq/dendrite)
rm -rf "$home"
mv "$new" "$home"
lab_done "Dendrite $version"
