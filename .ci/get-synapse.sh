#!/bin/bash
# Gets a real Synapse for the tests: matrix-synapse and all that it needs from Debian sid, unpacked into
# $TIMBRIDGE_LAB/synapse (default .lab/synapse). Nothing is installed: no root rights, no change to the system,
# no `apt-get update` beforehand. Needs apt-get, dpkg-deb and a Debian mirror in apt's sources (or DEBIAN_MIRROR=URL).
# Run again it returns at once.
#
# Exit: 0 it is there; 3 it cannot be had here (the reason is printed and kept in $TIMBRIDGE_LAB/synapse.missing).
set -euo pipefail
# shellcheck source=.ci/lab-common.sh
. "$(dirname "$0")/lab-common.sh"
lab_begin synapse "$0"

# What timbridge needs of Synapse: the stable names of pushed receipts came with 1.156.
oldest=1.156.0
suite=${SYNAPSE_SUITE:-sid}

lab_apt "$suite"
case $(dpkg --print-architecture) in
amd64) arch=amd64 triplet=x86_64-linux-gnu loader=usr/lib64/ld-linux-x86-64.so.2 ;;
arm64) arch=arm64 triplet=aarch64-linux-gnu loader=usr/lib/ld-linux-aarch64.so.1 ;;
*) lab_missing "Synapse is set up for amd64 and arm64 only, this is $(dpkg --print-architecture)" ;;
esac
cat >>"$APT_CONFIG" <<-CONF
	APT::Architecture "$arch";
	APT::Architectures { "$arch"; };
	// A mirror's sid may lag behind its own date; the signature is checked all the same.
	Acquire::Check-Valid-Until "false";
CONF

lab_say "getting Synapse from Debian $suite (about 70 MB, 10 seconds to a minute)"
lab_debs matrix-synapse
lab_say "unpacking $(wc -l <"$new/packages.sha256") packages"
for deb in "$tmp"/archives/*.deb; do
	lab_unpack "$deb"
done
for dir in bin sbin lib lib64; do [ -e "$new/root/$dir" ] || ln -s "usr/$dir" "$new/root/$dir"; done

python=$(cd "$new/root/usr/bin" && ls python3.? python3.?? 2>/dev/null | head -n 1 || true)
[ -n "$python" ] || lab_missing "the packages hold no Python"
# The private root's own loader and libraries: the system's may be years older. Found from where the script lies.
cat >"$new/synapse-python" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/root
unset PYTHONDONTWRITEBYTECODE PYTHONPATH
export PYTHONHOME="\$root/usr"
lib=\$root/usr/lib/$triplet
exec "\$root/$loader" --library-path "\$lib:\$lib/blas:\$lib/lapack" "\$root/usr/bin/$python" "\$@"
WRAPPER
chmod +x "$new/synapse-python"

# Inside a git tree Synapse adds branch and commit of that tree to its version: the first word is its own.
version=$("$new/synapse-python" -c 'import synapse; print(synapse.__version__.split()[0])' 2>>"$log") ||
	lab_missing "Synapse of Debian $suite does not run here: $(lab_last_error)"
dpkg --compare-versions "$version" ge "$oldest" ||
	lab_missing "Debian $suite has Synapse $version, older than $oldest"

rm -rf "$home"
mv "$new" "$home"
lab_done "Synapse $version"
