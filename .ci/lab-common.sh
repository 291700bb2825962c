# shellcheck shell=bash
# What the get-*.sh scripts share. To be sourced.
#
#   lab_begin NAME SCRIPT   leaves the calling script at once if NAME was got by this very script before;
#                           else sets $repo, $lab, $home ($lab/NAME) and $log, one run at a time
#   lab_say TEXT            progress
#   lab_missing REASON      NAME cannot be had here: says so, keeps the reason for the tests, exits 3
#   lab_last_error          the last telling line of $log
#   lab_done VERSION        notes that NAME is there
#   lab_cgo                 fails, and turns cgo off for what follows, where there is no working C compiler

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lab=${TIMBRIDGE_LAB:-$repo/.lab}

lab_begin() {
	mkdir -p "$lab"
	lab=$(cd "$lab" && pwd)
	name=$1 home=$lab/$1 log=$lab/$1.log
	# The scripts and what they pin: a change of one of them gets NAME anew.
	shift
	stamp=$(cat "${BASH_SOURCE[0]}" "$@" | sha256sum | cut -d ' ' -f 1)
	if lab_is_there; then exit 0; fi
	if command -v flock >/dev/null; then # two runs at once: the second one waits and finds it done
		exec 9>"$lab/$name.lock"
		flock 9
		if lab_is_there; then exit 0; fi
	fi
	rm -f "$lab/$name.missing"
}

lab_is_there() {
	[ -r "$home/stamp" ] && [ "$(head -n 1 "$home/stamp")" = "$stamp" ] && [ ! -e "$lab/$name.missing" ]
}

lab_say() { echo "timbridge lab: $*" >&2; }

lab_last_error() {
	{
		grep -vE '^go: (downloading|finding)' "$log" | grep -E '^(E:|Err:|go: |npm (error|ERR)|.*[Ee]rror|.*: )' | tail -n 1
		tail -n 1 "$log"
	} | head -n 1 | cut -c 1-300
}

lab_missing() {
	echo "$*" >"$lab/$name.missing"
	lab_say "$name cannot be had: $* (log: $log)"
	exit 3
}

lab_done() {
	printf '%s\n%s\n' "$stamp" "$*" >"$home/stamp"
	lab_say "$* is ready"
}

lab_cgo() {
	local cc
	read -r -a cc <<<"$(go env CC)"
	if [ "$(go env CGO_ENABLED)" = 1 ] && echo '#include <stdlib.h>' | "${cc[@]}" -x c -c -o /dev/null - 2>/dev/null; then
		return 0
	fi
	export CGO_ENABLED=0
	return 1
}
