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

for tool in apt-get apt-config dpkg dpkg-deb; do
	command -v "$tool" >/dev/null || lab_missing "Synapse comes from Debian's packages and $tool is not here"
done
case $(dpkg --print-architecture) in
amd64) arch=amd64 triplet=x86_64-linux-gnu loader=usr/lib64/ld-linux-x86-64.so.2 ;;
arm64) arch=arm64 triplet=aarch64-linux-gnu loader=usr/lib/ld-linux-aarch64.so.1 ;;
*) lab_missing "Synapse is set up for amd64 and arm64 only, this is $(dpkg --print-architecture)" ;;
esac
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keyring" ] || lab_missing "Debian's archive keys ($keyring, package debian-archive-keyring) are not here"

# The mirror that this machine's apt already uses; --print-uris needs neither root nor package lists.
mirror=${DEBIAN_MIRROR:-$(apt-get --print-uris update 2>/dev/null | sed -n "s#^'\(.*/debian\)/*/dists/.*#\1#p" | head -n 1)}
[ -n "$mirror" ] || lab_missing "apt knows no Debian mirror (set DEBIAN_MIRROR=URL)"

# apt gets a root of its own in a temporary folder, whose name has no spaces, unlike perhaps ours.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/lists/partial "$tmp"/archives/partial "$tmp"/parts
: >"$tmp/status"
echo "deb [arch=$arch signed-by=$keyring] $mirror $suite main" >"$tmp/sources.list"
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
		APT::Architecture "$arch";
		APT::Architectures { "$arch"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "30";
		Acquire::https::Timeout "30";
	CONF
	# A mirror's sid may lag behind its own date; the signature is checked all the same.
	echo 'Acquire::Check-Valid-Until "false";'
} >"$tmp/apt.conf"
export APT_CONFIG=$tmp/apt.conf

lab_say "getting Synapse from Debian $suite (about 70 MB, 10 seconds to a minute)"
apt-get -q update >"$log" 2>&1 ||
	lab_missing "the package lists of Debian $suite cannot be had: $(lab_last_error)"
apt-get -q -y --download-only install matrix-synapse >>"$log" 2>&1 ||
	lab_missing "matrix-synapse of Debian $suite cannot be had: $(lab_last_error)"

new=$home.new
rm -rf "$new"
mkdir -p "$new/root"
(cd "$tmp/archives" && sha256sum ./*.deb | sed 's#\./##') >"$new/packages.sha256"
lab_say "unpacking $(wc -l <"$new/packages.sha256") packages"
for deb in "$tmp"/archives/*.deb; do
	dpkg-deb -x "$deb" "$new/root" >>"$log" 2>&1 || lab_missing "$(basename "$deb") cannot be unpacked: $(lab_last_error)"
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
