#!/bin/bash
# Looks for weaknesses: gosec in the code, govulncheck in what it uses. Not part of `make check`: building gosec takes minutes the
# first time, and govulncheck asks vuln.go.dev. What cannot be done here is named as LEFT OUT; findings make it fail.
set -uo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"
cd "$repo" || exit 1
lab_cgo || true
mkdir -p "$lab/tools"
failed=0

if ! out=$(cd .ci/tools/security && GOWORK=off GOFLAGS=-buildvcs=false GOBIN=$lab/tools go install tool 2>&1); then
	echo "LEFT OUT: gosec and govulncheck: they cannot be built: $(tail -n 1 <<<"$out")"
	exit 0
fi

# What is not looked for, and why:
#   G104, G307  errors left aside: staticcheck and review look after these, and `_ =` says so where it is meant
#   G115        conversions of integers: each number is bounded where it comes in (seqs below 2^63, Random below 2^32, pages, counts)
#   G304, G703  paths from variables: all are the operator's own, from the command line and the config
#   G404        math/rand: jitter, test data, and the `random` of Tencent's frame, which says nothing; secrets come from crypto/rand
#   G705        what callers wrote in answers: all are application/json with nosniff
if "$lab/tools/gosec" -quiet -exclude-generated -exclude=G104,G115,G304,G307,G404,G703,G705 -exclude-dir=internal \
	-exclude-dir=tencenttest -exclude-dir=matrixtest -exclude-dir=v2timtest -exclude-dir=mappingtest -exclude-dir=receiptstest ./...; then
	echo "gosec: ok"
else
	failed=1
fi

out=$("$lab/tools/govulncheck" ./... 2>&1)
code=$?
if [ "$code" = 0 ]; then
	echo "govulncheck: ok"
elif grep -q 'fetching vulnerabilities' <<<"$out"; then
	echo "LEFT OUT: govulncheck: its database cannot be reached"
else
	printf '%s\n' "$out"
	failed=1
fi
exit "$failed"
