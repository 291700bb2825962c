#!/bin/bash
# What is checked without running the code. Every check runs; the exit code tells whether all passed.
set -uo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"
cd "$repo" || exit 1
module=github.com/timbridge/timbridge
failed=0
lab_cgo || true

check() { # check NAME COMMAND...: prints what the command printed if it failed
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "check $name: ok"
	else
		printf 'check %s: FAILED\n%s\n' "$name" "$out"
		failed=1
	fi
}

formatted() { # the source tree without what is fetched or hidden
	local files
	files=$(find . -name '.?*' -prune -o -name '*.go' -print0 | xargs -0 -r gofmt -l) || return 1
	[ -z "$files" ] || { echo "run gofmt -w on: $files"; return 1; }
}

linted() {
	mkdir -p "$lab/tools"
	# Built with the Go that builds timbridge: an older one would not understand the newest language.
	(cd .ci/tools && GOWORK=off GOFLAGS=-buildvcs=false GOBIN=$lab/tools go install tool) || return 1
	"$lab/tools/staticcheck" ./...
}

# Imports point down only: cmd → bridge → {bridge/*} → {mapping, receipts}; adapters do not know each other.
imports() {
	local list bad
	list=$(go list -f '{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}
{{end}}{{range .TestImports}}{{$p}} {{.}}
{{end}}{{range .XTestImports}}{{$p}} {{.}}
{{end}}' ./...) || { echo "$list"; return 1; }
	bad=$(awk -v m="$module" '
		function part(path) { sub("^" m "/", "", path); return path }
		function adapter(path,  p) { split(part(path), p, "/"); return p[1] == "bridge" && p[2] ~ /^(matrix|tencent|v2tim|relay|admin)$/ ? p[2] : "" }
		NF != 2 { next }
		part($1) ~ /^(receipts|mapping)(\/|$)/ && part($2) ~ /^(bridge|cmd)(\/|$)/ { print $1 " imports " $2 }
		part($1) ~ /^receipts(\/|$)/ && part($2) ~ /^mapping(\/|$)/ { print $1 " imports " $2 }
		part($1) ~ /^(receipts|mapping)(\/|$)/ && $2 ~ /^maunium\.net\/go\/mautrix/ && $2 != "maunium.net/go/mautrix/id" { print $1 " imports " $2 }
		adapter($1) && adapter($2) && adapter($1) != adapter($2) { print $1 " imports " $2 }
		adapter($1) && part($2) == "bridge" { print $1 " imports " $2 }
	' <<<"$list")
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

check gofmt formatted
check vet go vet ./...
check staticcheck linted
check go.mod go mod tidy -diff
check imports imports
exit "$failed"
