/** What of a run can still be seen on the host: the proof that a stopped cluster is gone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run } from './command.ts'

/**
 * Processes, mounts, links, addresses, routes, iptables rules, cgroups and folders, one a line. Other clusters may run on
 * the machine meanwhile: only what names the run, or an address of its network (`10.231.0.0/16`), is counted.
 */
export async function traces(runPath: string, cidr?: string): Promise<readonly string[]> {
  const found = processesOf(runPath).map((pid) => `process ${pid} ${commandOf(pid)}`)
  for (const path of [runPath, ...cgroupPaths(runPath)]) {
    if (existsSync(path)) found.push(path)
  }
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  found.push(...mounts.filter((line) => line.includes(runPath)))
  const suffix = basename(runPath).split('-').at(-1)?.toLowerCase() ?? ''
  const prefix = cidr?.replace(/0\.0\/16$/, '').replaceAll('.', '\\.')
  const address = prefix === undefined ? undefined : new RegExp(`(^|\\s)${prefix}`)
  const isOwn = (line: string) => line.includes(`rm${suffix}`) || address?.test(line) === true
  for (const [program, ...args] of [
    ['ip', '-o', 'link'],
    ['ip', '-o', 'address'],
    ['ip', 'route'],
    ['/usr/sbin/iptables-save'],
  ] as const) {
    found.push(...(await run(program, args)).stdout.split('\n').filter(isOwn))
  }
  return found
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return '(ended)'
  }
}

const anyRun = /respmesh-cluster-/

/** Processes that name the run, or whose cgroup or mounts are the run's. */
export function processesOf(runPath: string): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const read = (file: string) => readFileSync(`/proc/${name}/${file}`, 'utf8')
      const [cgroup, mounts, command] = [read('cgroup'), read('mountinfo'), read('cmdline')]
      const own = basename(runPath)
      if (cgroup.includes(own) || command.includes(own)) return true
      // What another cluster began while ours was there has copies of our mounts until it ends.
      return mounts.includes(own) && !anyRun.test(cgroup) && !anyRun.test(command)
    } catch {
      // It ended in the meantime.
      return false
    }
  })
}

function cgroupPaths(runPath: string): readonly string[] {
  const hierarchies = readdirSync('/sys/fs/cgroup')
  return ['', ...hierarchies].map((name) => join('/sys/fs/cgroup', name, basename(runPath)))
}
