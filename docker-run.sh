#!/bin/sh
# Starts timbridge in its container. The first start writes a config and stops,
# so that it can be filled in; the second writes the registration and stops, so
# that it can be given to the homeserver; from then on the bridge runs.
#
# Whoever starts the container with --user, or wants other paths, can leave this
# script out:  docker run ... timbridge /usr/bin/timbridge -n -c /config/config.yaml
set -eu

data=${BRIDGE_DATA_DIR:-/data}
binary=${BRIDGE_BINARY:-/usr/bin/timbridge}
config=$data/config.yaml
registration=$data/registration.yaml

cd "$data"

# As root, hand over to UID:GID; as anybody else (--user), stay who we are.
if [ "$(id -u)" = 0 ]; then
	owner=${UID:-1337}:${GID:-${UID:-1337}}
	chown -R "$owner" "$data"
	as_owner="su-exec $owner"
else
	as_owner=""
fi

if [ ! -f "$config" ]; then
	$as_owner "$binary" -c "$config" -e
	# Inside a container nobody can reach 127.0.0.1.
	$as_owner sed -i 's/^\( *hostname: \)127\.0\.0\.1$/\10.0.0.0/' "$config"
	echo "There was no config: wrote the example to $config."
	echo "Fill it in, then start the container again to get the registration."
	exit 0
fi

if [ ! -f "$registration" ]; then
	$as_owner "$binary" -g -c "$config" -r "$registration"
	echo "Give $registration to the homeserver and restart it, then start the container again."
	exit 0
fi

exec $as_owner "$binary" -c "$config"
