#!/bin/bash
# All tests, with real homeservers. Arguments replace ./...
set -euo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"
cd "$repo"
started=$(date +%s)

.ci/get-lab.sh
TIMBRIDGE_LAB=$(cd "$lab" && pwd)
export TIMBRIDGE_LAB

# The race detector needs cgo, and cgo a C compiler that finds its headers. It does not watch the inside of SQLite, which is C
# translated to Go and does its own locking: watched, it took three quarters of all time that the tests took.
race=(-race '-gcflags=modernc.org/sqlite/lib=-race=false')
if ! lab_cgo; then
	race=()
	echo "LEFT OUT: the race detector: it needs a C compiler (package gcc), and there is none"
fi
timeout=14m

# -count=1: a remembered pass says nothing about a homeserver. -parallel: most tests wait most of the time.
test_go() { go test ${race[@]+"${race[@]}"} -count=1 -parallel 8 -timeout "$timeout" "$@"; }
# With real homeservers. Dendrite 0.15.2 on SQLite gives up by itself now and then ("cannot start a transaction within a transaction")
# when a request that it works on is cut off, as every kill -9 of timbridge does. That says nothing about timbridge, so the tests in
# which it happened are run once more, in full, with Dendrite on PostgreSQL, where it does not (see internal/lab/dendrite.go).
test_real() {
	local log packages tests
	log=$(mktemp)
	if test_go -p 1 "$@" 2>&1 | tee "$log"; then
		rm -f "$log"
		return 0
	fi
	packages=$(sed -n 's/^FAIL[[:space:]]\([^[:space:]]*\)[[:space:]].*/\1/p' "$log")
	tests=$(sed -n 's/^--- FAIL: \([^ ]*\) .*/\1/p' "$log" | sort -u | paste -sd '|')
	if ! grep -q 'HOMESERVER CRASHED' "$log" || [ -z "$packages" ]; then
		rm -f "$log"
		return 1
	fi
	grep 'HOMESERVER CRASHED' "$log"
	rm -f "$log"
	echo "The homeserver crashed by itself; once more: $packages ${tests:-(all)}"
	if [ ! -e "$lab/postgres.missing" ]; then export TIMBRIDGE_DENDRITE_DATABASE=postgres; fi
	# shellcheck disable=SC2086
	test_go -p 1 ${tests:+-run "^($tests)$"} $packages
}
code=0
if [ $# -gt 0 ]; then
	test_go "$@" || code=$?
else
	# Those that start real homeservers come last and one after the other: Dendrite on SQLite gives up ("database is locked")
	# on a machine that is busy with other things.
	real=$(go list ./internal/... ./bridge/matrix)
	others=$(go list ./... | grep -vxF "$real")
	# shellcheck disable=SC2086
	test_go $others || code=$?
	# What takes too long with the race detector.
	if [ ${#race[@]} -gt 0 ]; then
		TIMBRIDGE_SIMULATION=${TIMBRIDGE_SIMULATION:-300} go test -count=1 -parallel 8 -timeout "$timeout" -run '^(TestSimulation|TestPostgreSQL)$' ./bridge || code=$?
	fi
	# shellcheck disable=SC2086
	test_real $real || code=$?
fi

for name in synapse dendrite jssdk postgres; do
	[ ! -e "$lab/$name.missing" ] || echo "LEFT OUT: $name: $(cat "$lab/$name.missing")"
done
echo "tests took $(($(date +%s) - started)) s, fetching included"
exit "$code"
