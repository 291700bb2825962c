#!/bin/bash
# Gets PostgreSQL for the tests, where none is installed: Debian's packages of this machine's own suite, unpacked into
# $TIMBRIDGE_LAB/postgres (default .lab/postgres). Nothing is installed: no root rights, no change to the system.
# Needs apt-get, dpkg-deb and a Debian mirror in apt's sources (or DEBIAN_MIRROR=URL). Run again it returns at once.
#
# Exit: 0 it is there; 3 it cannot be had here (the reason is printed and kept in $TIMBRIDGE_LAB/postgres.missing).
set -euo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"

# One that is installed is taken (internal/postgres looks in the same places).
for folder in $(command -v initdb postgres >/dev/null && dirname "$(command -v initdb)") /usr/lib/postgresql/*/bin; do
	if [ -z "${POSTGRES_FETCH:-}" ] && [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then exit 0; fi
done
lab_begin postgres "$0"

for tool in apt-get apt-config dpkg dpkg-deb; do
	command -v "$tool" >/dev/null || lab_missing "PostgreSQL comes from Debian's packages and $tool is not here"
done
# The machine's own suite: the server runs with the machine's own C library.
# shellcheck disable=SC1091
suite=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}") || suite=
[ -n "$suite" ] || lab_missing "this is no Debian: install PostgreSQL by hand"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || lab_missing "Debian's archive keys ($keyring, package debian-archive-keyring) are not here"
mirror=${DEBIAN_MIRROR:-$(apt-get --print-uris update 2>/dev/null | sed -n "s#^'\(.*/debian\)/*/dists/.*#\1#p" | head -n 1)}
[ -n "$mirror" ] || lab_missing "apt knows no Debian mirror (set DEBIAN_MIRROR=URL)"

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

lab_say "getting PostgreSQL from Debian $suite (about 80 MB, 10 seconds to a minute)"
apt-get -q update >"$log" 2>&1 ||
	lab_missing "the package lists of Debian $suite cannot be had: $(lab_last_error)"
apt-get -q -y --download-only install postgresql >>"$log" 2>&1 ||
	lab_missing "postgresql of Debian $suite cannot be had: $(lab_last_error)"
new=$home.new
rm -rf "$new"
mkdir -p "$new/root"
(cd "$tmp/archives" && sha256sum ./*.deb | sed 's#\./##') >"$new/packages.sha256"
# The server and the libraries that the machine may lack; the C library and its loader are the machine's own.
for deb in "$tmp"/archives/{postgresql-[0-9]*,postgresql-client-[0-9]*,lib*}.deb; do
	case $(basename "$deb") in
	libc6_* | libc-bin_* | libperl* | libllvm* | libgcc-s1_*) continue ;;
	esac
	dpkg-deb -x "$deb" "$new/root" >>"$log" 2>&1 || lab_missing "$(basename "$deb") cannot be unpacked: $(lab_last_error)"
done
bin=$(ls -d "$new"/root/usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
[ -n "$bin" ] || lab_missing "the packages hold no PostgreSQL"
triplet=$(ls -d "$new"/root/usr/lib/*-linux-gnu | head -n 1)
version=$(LD_LIBRARY_PATH=$triplet:$new/root/lib/$(basename "$triplet") "$bin/postgres" --version 2>>"$log") ||
	lab_missing "PostgreSQL of Debian $suite does not run here: $(lab_last_error)"
rm -rf "$home"
mv "$new" "$home"
# The server does not run as root, and whoever it runs as has to get at it.
chmod -R a+rX "$home"
lab_done "$version"
