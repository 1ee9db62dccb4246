#!/bin/bash
# Keeps the namespaces of one run of the test cluster and cleans up when they are gone.
#
#   guardian.sh watch RUN attached|detached   holds the namespaces, then sweeps
#   guardian.sh sweep RUN                     ends a run whose guardian died, then sweeps
#
# Everything that a run starts, mounts or routes lives in its own PID, mount and network namespace.
# So there is no list of things to undo that could be incomplete: when the first process of the PID
# namespace dies, the kernel ends all others, and the mounts, the bridge, the veths and the iptables
# chains go with them. What the kernel does not take back is swept here: cgroups, a few kernel
# settings which a kubelet changes, and the folder of the run.
#
# "attached" reads standard input until it ends: a caller that dies, however suddenly, takes its
# cluster with it.
set -u
mode=$1
run=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
settings='vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes'

setting_path() { echo "/proc/sys/${1//.//}"; }

others_run() {
  local other
  for other in "$(dirname "$run")"/respmesh-cluster-*/; do
    [ -d "$other" ] && [ "${other%/}" != "$run" ] && return 0
  done
  return 1
}

# The start time guards against a process id which has been given to someone else since.
is_init_alive() {
  [ -r "$run/init.stat" ] || return 1
  local pid
  read -r pid _ <"$run/init.stat"
  [ -r "/proc/$pid/stat" ] || return 1
  [ "$(cut -d' ' -f22 "/proc/$pid/stat" 2>/dev/null)" = "$(cut -d' ' -f22 "$run/init.stat")" ]
}

remove_cgroups() {
  local name root path
  name=$(basename "$run")
  for root in /sys/fs/cgroup /sys/fs/cgroup/*; do
    path="$root/$name"
    [ -d "$path" ] || continue
    # A cgroup stays busy until the last of its ended processes is reaped.
    for _ in $(seq 50); do
      find "$path" -depth -type d -exec rmdir {} + 2>/dev/null
      [ -d "$path" ] || break
      sleep 0.1
    done
  done
}

sweep() {
  local name value
  if is_init_alive; then
    read -r pid _ <"$run/init.stat"
    kill -KILL "$pid" 2>/dev/null
    for _ in $(seq 100); do is_init_alive || break; sleep 0.1; done
  fi
  [ -r "$run/link" ] && ip link delete "$(cat "$run/link")" 2>/dev/null
  remove_cgroups
  if ! others_run; then
    while read -r name value; do
      [ -n "$name" ] && echo "$value" 2>/dev/null >"$(setting_path "$name")"
    done <"$run/settings"
    rmdir /tmp/hostpath_pv 2>/dev/null
  fi
  rm -rf "$run"
}

watch() {
  local name
  for name in $settings; do
    [ -r "$(setting_path "$name")" ] && echo "$name $(cat "$(setting_path "$name")")"
  done >"$run/settings"
  # Signals must not end the guardian before it has swept. A handler, because what a shell ignores
  # all its children ignore, down to the processes of pods.
  trap : INT TERM HUP
  mkdir -p /tmp/hostpath_pv
  unshare --mount --net --pid --fork bash "$here/namespace.sh" "$run" "$1"
  sweep
}

case $mode in
  watch) watch "$3" ;;
  sweep) sweep ;;
  *) echo "guardian.sh: unknown mode $mode" >&2; exit 2 ;;
esac
