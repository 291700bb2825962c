#!/bin/bash
# Gets everything that the end-to-end tests run on: Synapse, Dendrite, matrix-js-sdk, PostgreSQL. What cannot be had is left out
# and named; the tests that need it say so and are skipped.
#
# Exit: 0 at least one homeserver is there (or this is not CI); 3 none, and CI=true.
set -euo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"

got=0
for name in synapse dendrite js-sdk postgres; do
	code=0
	"$repo/.ci/get-$name.sh" || code=$?
	case $code in
	0) case $name in synapse | dendrite) got=$((got + 1)) ;; esac ;;
	3) ;;
	*) lab_say "get-$name.sh failed with exit code $code"; exit "$code" ;;
	esac
done
if [ "$got" = 0 ]; then
	lab_say "no homeserver can be had here: nothing will be tested on a real one"
	[ "${CI:-}" != true ] || exit 3
fi
