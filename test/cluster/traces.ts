/** What of a run can still be seen on the host: the proof that a stopped cluster is gone. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run } from './command.ts'

/** Processes, mounts, links, routes, iptables chains, cgroups and folders, one a line. */
export async function traces(runPath: string): Promise<readonly string[]> {
  const found = processesOf(runPath).map((pid) => `process ${pid}`)
  for (const path of [runPath, ...cgroupPaths(runPath)]) {
    if (existsSync(path)) found.push(path)
  }
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  found.push(...mounts.filter((line) => line.includes(runPath)))
  const suffix = basename(runPath).split('-').at(-1)?.toLowerCase() ?? ''
  const links = (await run('ip', ['-o', 'link'])).stdout.split('\n')
  found.push(...links.filter((line) => line.includes(`rm${suffix}`) || line.includes(' cni0:')))
  const routes = (await run('ip', ['route'])).stdout.split('\n')
  found.push(...routes.filter((line) => line.includes(`rm${suffix}`)))
  const rules = (await run('/usr/sbin/iptables-save', [])).stdout.split('\n')
  found.push(...rules.filter((line) => /KUBE-|CNI-/.test(line)))
  return found
}

/** Processes that name the run, or whose cgroup or mounts are the run's. */
export function processesOf(runPath: string): readonly string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      const texts = ['cgroup', 'mountinfo', 'cmdline'].map((file) =>
        readFileSync(`/proc/${name}/${file}`, 'utf8'),
      )
      return texts.some((text) => text.includes(basename(runPath)))
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
