#!/bin/sh
# Pass a port of this machine on to a virtual Pi's SSH server, until killed.
# Arguments: a process in its network namespace, an empty file to mount on, the port.
set -eu
process=$1 namespace=$2 port=$3

# pasta gives up the right to look into other processes before it opens the namespace. This runs in a
# mount namespace of its own, so nothing stays mounted.
mount --make-rprivate /
mount --bind "/proc/$process/ns/net" "$namespace"
exec pasta --foreground --quiet --config-net --runas 0:0 \
  --tcp-ports "127.0.0.1/$port:22" --udp-ports none --tcp-ns none --udp-ns none \
  --netns-only --netns "$namespace"
