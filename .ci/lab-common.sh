# shellcheck shell=bash
# What the get-*.sh scripts share. To be sourced.
#
#   lab_begin NAME SCRIPT   leaves the calling script at once if NAME was got by this very script before;
#                           else sets $repo, $lab, $home ($lab/NAME) and $log, one run at a time
#   lab_say TEXT            progress
#   lab_missing REASON      NAME cannot be had here: says so, keeps the reason for the tests, exits 3
#   lab_last_error          the last telling line of $log
#   lab_done VERSION        notes that NAME is there
#   lab_apt SUITE           gives apt-get a root of its own in $tmp, with SUITE of the Debian mirror that this machine's apt uses (or
#                           DEBIAN_MIRROR=URL); more settings may be added to $APT_CONFIG. Leaves by lab_missing if it cannot
#   lab_debs PACKAGE        downloads PACKAGE and all that it needs to $tmp/archives, and makes $new, a folder beside $home, with
#                           the checksums of all of them
#   lab_unpack DEB          into $new/root
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

lab_apt() {
	local tool keyring mirror
	suite=$1
	for tool in apt-get apt-config dpkg dpkg-deb; do
		command -v "$tool" >/dev/null || lab_missing "it comes from Debian's packages and $tool is not here"
	done
	keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r "$keyring" ] || lab_missing "Debian's archive keys ($keyring, package debian-archive-keyring) are not here"
	# --print-uris needs neither root nor package lists.
	mirror=${DEBIAN_MIRROR:-$(apt-get --print-uris update 2>/dev/null | sed -n "s#^'\(.*/debian\)/*/dists/.*#\1#p" | head -n 1)}
	[ -n "$mirror" ] || lab_missing "apt knows no Debian mirror (set DEBIAN_MIRROR=URL)"
	# In a temporary folder, whose name has no spaces, unlike perhaps ours.
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	mkdir -p "$tmp"/lists/partial "$tmp"/archives/partial "$tmp"/parts
	: >"$tmp/status"
	echo "deb [signed-by=$keyring] $mirror $suite main" >"$tmp/sources.list"
	{
		# What this machine says about proxies and certificates stays valid.
		apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::|Check-Date )' || true
		cat <<-CONF
			Dir::Etc::sourcelist "$tmp/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::Etc::main "/dev/null";
			Dir::Etc::parts "$tmp/parts";
			Dir::Etc::preferences "/dev/null";
			Dir::Etc::preferencesparts "$tmp/parts";
			Dir::State "$tmp";
			Dir::State::lists "$tmp/lists";
			Dir::State::status "$tmp/status";
			Dir::Cache "$tmp";
			Dir::Log "$tmp";
			APT::Install-Recommends "false";
			APT::Sandbox::User "";
			APT::Update::Error-Mode "any";
			Acquire::Languages "none";
			Acquire::Retries "2";
			Acquire::http::Timeout "30";
			Acquire::https::Timeout "30";
		CONF
	} >"$tmp/apt.conf"
	export APT_CONFIG=$tmp/apt.conf
}

lab_debs() {
	apt-get -q update >"$log" 2>&1 ||
		lab_missing "the package lists of Debian $suite cannot be had: $(lab_last_error)"
	apt-get -q -y --download-only install "$1" >>"$log" 2>&1 ||
		lab_missing "$1 of Debian $suite cannot be had: $(lab_last_error)"
	new=$home.new
	rm -rf "$new"
	mkdir -p "$new/root"
	(cd "$tmp/archives" && sha256sum ./*.deb | sed 's#\./##') >"$new/packages.sha256"
}

lab_unpack() {
	dpkg-deb -x "$1" "$new/root" >>"$log" 2>&1 || lab_missing "$(basename "$1") cannot be unpacked: $(lab_last_error)"
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
