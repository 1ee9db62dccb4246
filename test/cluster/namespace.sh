#!/bin/bash
# The first process inside the namespaces of a run: prepares the mounts, says that it is ready, and
# starts what its standard input names, a line each, until that ends (attached) or it is killed. As
# process 1 bash also reaps the orphans of containerd. Started by guardian.sh only.
set -eu
run=$1
mode=$2

# /proc still shows the PID namespace outside: this is how this process is known there.
IFS= read -r stat </proc/self/stat
echo "$stat" >"$run/init.stat"
mount -t proc proc /proc

# unshare made every mount private. Kubernetes needs them shared among its own processes.
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
mount --bind "$run/var-lib" /var/lib
mount --bind "$run/var-log" /var/log
mount --bind "$run/volumes" /tmp/hostpath_pv
ip link set lo up

if [ "$mode" = detached ]; then
  mkfifo "$run/stay"
  exec 0<>"$run/stay"
fi
# With job control: without, bash lets background processes, and so all pods, ignore SIGINT.
set -m
touch "$run/ready"
while read -r name; do
  {
    code=0
    bash "$run/etc/$name.sh" </dev/null >>"$run/var-log/$name.log" 2>&1 || code=$?
    echo "$code" >"$run/etc/$name.ended"
  } &
done
