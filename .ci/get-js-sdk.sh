#!/bin/bash
# Gets matrix-js-sdk (the library under Element) for the tests, which use it as a real client: the versions of
# internal/lab/jssdk/package-lock.json into $TIMBRIDGE_LAB/jssdk (default .lab/jssdk). Needs Node.js 20 or newer and npm.
# No package's install script is run. Run again it returns at once.
#
# Exit: 0 it is there; 3 it cannot be had here (the reason is printed and kept in $TIMBRIDGE_LAB/jssdk.missing).
set -euo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"
source=$repo/internal/lab/jssdk
lab_begin jssdk "$0" "$source/package.json" "$source/package-lock.json"

command -v node >/dev/null || lab_missing "matrix-js-sdk needs Node.js 20 or newer and node is not here"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || lab_missing "matrix-js-sdk needs Node.js 20 or newer, this is $(node --version)"
command -v npm >/dev/null || lab_missing "matrix-js-sdk comes from npm and npm is not here"

new=$home.new
rm -rf "$new"
mkdir -p "$new"
cp "$source/package.json" "$source/package-lock.json" "$new/"
lab_say "getting matrix-js-sdk from npm (a few seconds)"
(cd "$new" && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1 ||
	lab_missing "matrix-js-sdk cannot be had: $(lab_last_error)"

version=$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).version' "$new/node_modules/matrix-js-sdk/package.json")
rm -rf "$home"
mv "$new" "$home"
lab_done "matrix-js-sdk $version"
