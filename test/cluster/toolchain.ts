/**
 * Builds Kubernetes, etcd, CoreDNS and Helm from their Go modules and keeps the programs outside the
 * repository. The module folders in `tools/` pin every version: their `go.mod` and `go.sum` are the
 * only inputs, and the cache is keyed by them, so a changed version builds anew and a return to the
 * old one finds the old programs.
 */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { findProgram, run } from './command.ts'

export type Report = (line: string) => void

type Module = {
  readonly name: string
  /** Go packages by the name of the program they become, in the order in which they build best. */
  readonly programs: Readonly<Record<string, string>>
  /** Module whose required version is stamped into the programs. */
  readonly versionOf: string
  readonly stamp: (version: string) => readonly string[]
}

const kubernetesPrograms = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
] as const

const minorOf = (version: string): string => version.split('.')[1] ?? '0'

/** The newest minor of Kubernetes that Helm 3.21 knows; `helm template` assumes it. */
const helmKubernetesMinor = '36'

const modules: readonly Module[] = [
  {
    name: 'etcd',
    programs: { etcd: 'go.etcd.io/etcd/server/v3' },
    versionOf: 'go.etcd.io/etcd/server/v3',
    stamp: () => [],
  },
  {
    name: 'kubernetes',
    programs: Object.fromEntries(
      kubernetesPrograms.map((name) => [name, `k8s.io/kubernetes/cmd/${name}`]),
    ),
    versionOf: 'k8s.io/kubernetes',
    // Without the stamp the API server says v0.0.0, and Helm's kubeVersion checks fail.
    stamp: (version) => [
      `k8s.io/component-base/version.gitVersion=${version}`,
      'k8s.io/component-base/version.gitMajor=1',
      `k8s.io/component-base/version.gitMinor=${minorOf(version)}`,
      'k8s.io/component-base/version.gitTreeState=clean',
    ],
  },
  {
    name: 'coredns',
    programs: { coredns: 'github.com/coredns/coredns' },
    versionOf: 'github.com/coredns/coredns',
    stamp: () => [],
  },
  {
    name: 'helm',
    programs: { helm: 'helm.sh/helm/v3/cmd/helm' },
    versionOf: 'helm.sh/helm/v3',
    stamp: (version) => [
      `helm.sh/helm/v3/internal/version.version=${version}`,
      ...['lint/rules', 'chartutil'].flatMap((path) => [
        `helm.sh/helm/v3/pkg/${path}.k8sVersionMajor=1`,
        `helm.sh/helm/v3/pkg/${path}.k8sVersionMinor=${helmKubernetesMinor}`,
      ]),
    ],
  },
]

/** Paths of the programs by name: `programs.get('kubelet')`. */
export type Programs = ReadonlyMap<string, string>

export type ProgramState = {
  readonly name: string
  readonly version: string
  readonly path: string
  readonly isBuilt: boolean
}

type PlannedProgram = ProgramState & {
  readonly module: Module
  readonly modulePath: string
  readonly goPackage: string
}

const toolsPath = join(import.meta.dirname, 'tools')

export function cachePath(): string {
  const root = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')
  return join(root, 'respmesh', 'cluster')
}

async function planPrograms(): Promise<readonly PlannedProgram[]> {
  const planned: PlannedProgram[] = []
  for (const module of modules) {
    const modulePath = join(toolsPath, module.name)
    const goMod = await readFile(join(modulePath, 'go.mod'), 'utf8')
    const goSum = await readFile(join(modulePath, 'go.sum'), 'utf8')
    const hash = createHash('sha256').update(goMod).update(goSum).digest('hex').slice(0, 12)
    const version = requiredVersion(goMod, module.versionOf)
    for (const [name, goPackage] of Object.entries(module.programs)) {
      const path = join(cachePath(), `${module.name}-${hash}`, 'bin', name)
      const isBuilt = (await findProgram(path)) !== undefined
      planned.push({ name, version, path, isBuilt, module, modulePath, goPackage })
    }
  }
  return planned
}

function requiredVersion(goMod: string, path: string): string {
  const line = goMod.split('\n').find((text) => {
    const words = text
      .replace(/^require/, '')
      .trim()
      .split(/\s+/)
    return words[0] === path && words[1]?.startsWith('v')
  })
  const version = line?.match(/\sv\S+/)?.[0].trim()
  if (version === undefined) throw new Error(`go.mod requires no version of ${path}`)
  return version
}

/** What there is in the cache and what not. */
export async function programStates(): Promise<readonly ProgramState[]> {
  return planPrograms()
}

/**
 * Why those of `names` that the cache lacks cannot be built here, or `undefined` if they can or none
 * is missing. All programs when no names are given.
 */
export async function buildObstacle(names?: readonly string[]): Promise<string | undefined> {
  const missing = await missingPrograms(names)
  if (missing.length === 0) return undefined
  const needed = await neededGoVersion(missing)
  const list = missing.map((program) => program.name).join(', ')
  const go = await findGo()
  if (go === undefined) {
    return `${list} must be built once, but there is no Go: install Go ${needed} or newer (https://go.dev/dl)`
  }
  const found = await goVersion(go)
  if (!isAtLeast(found, needed)) {
    return `${list} must be built once with Go ${needed} or newer, but ${go} is ${found} (https://go.dev/dl)`
  }
  return undefined
}

/**
 * Builds what the cache lacks (about eight minutes on two cores for all) and gives every program.
 * @throws when there is no fitting Go, or a build fails.
 */
export async function ensurePrograms(report: Report, names?: readonly string[]): Promise<Programs> {
  const missing = await missingPrograms(names)
  if (missing.length > 0) {
    const obstacle = await buildObstacle(names)
    if (obstacle !== undefined) throw new Error(obstacle)
    report(`building ${missing.length} programs into ${cachePath()}; this happens once`)
    for (const program of missing) await build(program, report)
  }
  return new Map((await planPrograms()).map((program) => [program.name, program.path]))
}

async function missingPrograms(names?: readonly string[]): Promise<readonly PlannedProgram[]> {
  const planned = await planPrograms()
  return planned.filter(({ name, isBuilt }) => !isBuilt && (names?.includes(name) ?? true))
}

async function build(program: PlannedProgram, report: Report): Promise<void> {
  const go = await findGo()
  if (go === undefined) throw new Error('there is no Go')
  const startedAt = performance.now()
  report(`building ${program.name} ${program.version} …`)
  const stamps = program.module.stamp(program.version).map((value) => `-X ${value}`)
  await mkdir(join(program.path, '..'), { recursive: true })
  // Renamed when complete, so that nobody runs half a program, whoever else builds at the same time.
  const partPath = `${program.path}.part-${process.pid}`
  const args = ['build', '-trimpath', '-ldflags', ['-s', '-w', ...stamps].join(' ')]
  try {
    await run('nice', ['-n', '10', go, ...args, '-o', partPath, program.goPackage], {
      cwd: program.modulePath,
      env: { CGO_ENABLED: '0', GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly', GOWORK: 'off' },
      timeoutMs: 3_600_000,
    })
    await rename(partPath, program.path)
  } finally {
    await rm(partPath, { force: true })
  }
  report(`built ${program.name} in ${Math.round((performance.now() - startedAt) / 1000)} s`)
}

function findGo(): Promise<string | undefined> {
  return findProgram('go', ['/usr/local/go/bin', join(homedir(), 'go', 'bin'), '/usr/lib/go/bin'])
}

async function goVersion(go: string): Promise<string> {
  const { stdout } = await run(go, ['env', 'GOVERSION'], {
    env: { GOTOOLCHAIN: 'local' },
    cwd: '/',
  })
  return stdout.trim().replace(/^go/, '')
}

async function neededGoVersion(programs: readonly PlannedProgram[]): Promise<string> {
  let needed = '0'
  for (const { modulePath } of programs) {
    const goMod = await readFile(join(modulePath, 'go.mod'), 'utf8')
    const version = /^go (\S+)$/m.exec(goMod)?.[1] ?? '0'
    if (!isAtLeast(needed, version)) needed = version
  }
  return needed
}

function isAtLeast(found: string, needed: string): boolean {
  const left = found.split('.').map((part) => Number.parseInt(part, 10) || 0)
  const right = needed.split('.').map((part) => Number.parseInt(part, 10) || 0)
  for (let index = 0; index < 3; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}
