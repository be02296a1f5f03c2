#!/bin/sh
# Boot a virtual Pi, inside namespaces of its own (see instance.py). They end with this process, and
# with them the mounts, the network and every process of the Pi.
# Arguments: the instance's folder, its name, its control group, the layers of its file system
# (topmost first).
set -eu
folder=$1 name=$2 cgroup=$3 layers=$4

mount --make-rprivate /
mkdir -p "$folder/root" "$folder/upper" "$folder/work"
mount -t overlay overlay \
  -o "lowerdir=$layers,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
cp -a --no-preserve=timestamps "$folder/stage/." "$folder/root/"
ip link set lo up

# systemd wants the unified hierarchy, whatever this machine has. Own cgroups, so that several Pis do
# not meet in one.
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$cgroup"

boot() {
  (
    sh -c 'echo $PPID' >"/sys/fs/cgroup/$cgroup/cgroup.procs"
    exec systemd-nspawn --quiet --boot --directory="$folder/root" --machine="$name" \
      --register=no --keep-unit --resolv-conf=off --link-journal=no --console=pipe </dev/null
  )
}

# This code stands for a reboot.
code=133
while [ "$code" -eq 133 ]; do
  code=0
  boot || code=$?
done
exit "$code"
