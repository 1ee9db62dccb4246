/**
 * What a machine must have for a cluster of the lab: checked by looking for the programs, so that
 * it does not matter which packages brought them.
 */
import { readdir, readFile } from 'node:fs/promises'
import { CommandError, findProgram, run } from './command.ts'
import type { Report } from './toolchain.ts'

/** Debian packages by what is looked for. `cni` stands for the folder of CNI plugins. */
const packagesByProgram = {
  containerd: 'containerd',
  ctr: 'containerd',
  'containerd-shim-runc-v2': 'containerd',
  runc: 'runc',
  cni: 'containernetworking-plugins',
  iptables: 'iptables',
  'iptables-restore': 'iptables',
  ip: 'iproute2',
  openssl: 'openssl',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  tar: 'tar',
} as const satisfies Readonly<Record<string, string>>

const cniPaths = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']

/** Packages that bring what is missing here; empty when nothing is. */
export async function missingPackages(): Promise<readonly string[]> {
  const missing = new Set<string>()
  for (const [program, name] of Object.entries(packagesByProgram)) {
    const found = program === 'cni' ? await findCniPath() : await findSystemProgram(program)
    if (found === undefined) missing.add(name)
  }
  return [...missing].sort()
}

export function findSystemProgram(name: string): Promise<string | undefined> {
  return findProgram(name, ['/usr/local/sbin', '/usr/sbin', '/sbin'])
}

export async function findCniPath(): Promise<string | undefined> {
  for (const path of cniPaths) {
    const names: readonly string[] = await readdir(path).catch(() => [])
    if (['bridge', 'host-local', 'portmap'].every((name) => names.includes(name))) return path
  }
  return undefined
}

/** Whether this process may run `apt-get install`. */
export async function canInstall(): Promise<boolean> {
  return process.getuid?.() === 0 && (await findProgram('apt-get')) !== undefined
}

export function installCommand(packages: readonly string[]): string {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`
}

/** @throws CommandError when apt cannot install them. */
export async function installPackages(packages: readonly string[], report: Report): Promise<void> {
  report(`installing Debian packages: ${packages.join(' ')}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const args = ['install', '-y', '--no-install-recommends', ...packages]
  try {
    await run('apt-get', args, { env })
  } catch {
    // The lists of a fresh machine may be absent or old.
    await run('apt-get', ['update'], { env })
    await run('apt-get', args, { env })
  }
}

/** Why this machine cannot hold the namespaces of a cluster, or `undefined` if it can. */
export async function machineObstacle(): Promise<string | undefined> {
  if (process.platform !== 'linux')
    return `a cluster of the lab needs Linux, not ${process.platform}`
  if (process.getuid?.() !== 0) return 'a cluster of the lab needs root (try sudo)'
  const packages = await missingPackages()
  if (packages.length > 0 && !(await canInstall())) {
    return `missing programs; on Debian: ${installCommand(packages)}`
  }
  if ((await findProgram('unshare')) === undefined) return undefined
  try {
    await run('unshare', ['--mount', '--net', '--pid', '--fork', '--mount-proc', 'true'])
  } catch (error) {
    const told = error instanceof CommandError ? error.stderr.trim() : String(error)
    return `this machine lets root make no namespaces (a container without --privileged?): ${told}`
  }
  const fileSystems = await readFile('/proc/filesystems', 'utf8')
  if (!/\bcgroup2?\b/.test(fileSystems)) return 'this kernel has no cgroups'
  return undefined
}

/** overlayfs cannot be stacked on itself, as in a container; copying is slow but always works. */
export async function snapshotterFor(path: string): Promise<'overlayfs' | 'native'> {
  const { stdout } = await run('stat', ['-f', '-c', '%T', path])
  return ['overlayfs', 'UNKNOWN'].includes(stdout.trim()) ? 'native' : 'overlayfs'
}
