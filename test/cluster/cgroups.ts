/** The cgroup of a run: a kubelet wants its root to be there, `runc` and it make those below. */
import { run } from './command.ts'

const script = `
root=/sys/fs/cgroup
if [ -e $root/cgroup.controllers ]; then
  # In a container this is not the real root, and may pass controllers on only when it is empty.
  if [ -e $root/cgroup.type ]; then
    mkdir -p $root/init
    while read -r pid; do echo "$pid" >$root/init/cgroup.procs || true; done <$root/cgroup.procs
  fi
  for name in $(cat $root/cgroup.controllers); do
    echo "+$name" >$root/cgroup.subtree_control || true
  done
  mkdir "$root/$1"
  exit
fi
for path in $root/*/; do
  [ -e "$path/tasks" ] || continue
  mkdir -p "$path$1"
  # Else no process can join: a new cgroup has neither processors nor memory.
  [ -e "$path$1/cpuset.cpus" ] || continue
  for file in cpuset.cpus cpuset.mems; do cat "$path$file" >"$path$1/$file"; done
done
`

/** Makes it in every hierarchy of cgroup v1, or the one of v2. The guardian removes it. */
export async function makeCgroups(name: string): Promise<void> {
  await run('sh', ['-ec', script, 'sh', name])
}
