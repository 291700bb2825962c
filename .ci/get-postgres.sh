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

# The machine's own suite: the server runs with the machine's own C library.
# shellcheck disable=SC1091
suite=$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}") || suite=
[ -n "$suite" ] || lab_missing "this is no Debian: install PostgreSQL by hand"
lab_apt "$suite"

lab_say "getting PostgreSQL from Debian $suite (about 80 MB, 10 seconds to a minute)"
lab_debs postgresql
# The server and the libraries that the machine may lack; the C library and its loader are the machine's own.
for deb in "$tmp"/archives/{postgresql-[0-9]*,postgresql-client-[0-9]*,lib*}.deb; do
	case $(basename "$deb") in
	libc6_* | libc-bin_* | libperl* | libllvm* | libgcc-s1_*) continue ;;
	esac
	lab_unpack "$deb"
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
