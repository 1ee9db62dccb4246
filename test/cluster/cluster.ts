/**
 * What a test gets: a Kubernetes cluster, wherever it comes from. Decides which kind a machine can
 * have; `lab.ts` and `foreign.ts` make them.
 */
import { existsSync } from 'node:fs'
import { type Output, run, type RunOptions } from './command.ts'
import { findProgram } from './command.ts'
import { startKind, useKubeconfig } from './foreign.ts'
import type { ImageOptions } from './image.ts'
import { startLab } from './lab.ts'
import { installCommand, machineObstacle, missingPackages } from './machine.ts'
import type { Network } from './network.ts'
import { buildObstacle, programStates, type Report } from './toolchain.ts'

export type ClusterKind = 'lab' | 'kind' | 'kubeconfig'

export type Cluster = {
  readonly kind: ClusterKind
  /** Stands on its own: certificates are inside. */
  readonly kubeconfigPath: string
  readonly kubectlPath: string
  readonly helmPath: string
  /** Logs of the components and, below `pods/`, of pods. Absent where they are not ours to read. */
  readonly logsPath: string | undefined
  /**
   * Addresses of the lab, where the host reaches pods and cluster addresses of Services, and pods
   * reach the host at `hostIp`. Absent elsewhere: use `kubectl port-forward` or `exec` there.
   */
  readonly network: Network | undefined
  kubectl(args: readonly string[], options?: CallOptions): Promise<Output>
  helm(args: readonly string[], options?: CallOptions): Promise<Output>
  /** Makes an image usable by pods with `imagePullPolicy: IfNotPresent` or `Never`. */
  loadImage(image: ImageOptions): Promise<void>
  /** The same for an archive as `docker save` or `podman save` write it. */
  loadArchive(archivePath: string): Promise<void>
  /** Ends the cluster if this process started it, and leaves nothing behind. Fine to call twice. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type CallOptions = Pick<RunOptions, 'input' | 'timeoutMs'>

export type StartOptions = {
  /** Takes this kind, or fails. Else: KUBECONFIG, then kind with Docker, then the lab. */
  readonly kind?: ClusterKind
  readonly report?: Report
  /** The lab's logs go here and stay; else they go when the cluster stops. */
  readonly logsPath?: string
  /** The lab outlives this process and is ended by `main.ts down`. */
  readonly isDetached?: boolean
  /** Ends a start that is under way. */
  readonly signal?: AbortSignal
}

export type Plan =
  | { readonly kind: 'kubeconfig'; readonly path: string }
  | { readonly kind: 'kind'; readonly program: string }
  /** `todo` is what must be done once before the first start, and will be. */
  | { readonly kind: 'lab'; readonly todo: readonly string[] }
  | { readonly kind: 'none'; readonly reason: string }

/** No cluster can be had on this machine. The message says why, and what to do. */
export class ClusterUnavailableError extends Error {
  override readonly name = 'ClusterUnavailableError'
}

/** Which cluster `startCluster` would give. Changes nothing. */
export async function planCluster(wanted?: ClusterKind): Promise<Plan> {
  const kubeconfigPath = process.env['KUBECONFIG']?.split(':')[0]
  if (wanted === 'kubeconfig' || (wanted === undefined && kubeconfigPath)) {
    if (kubeconfigPath && existsSync(kubeconfigPath)) {
      return { kind: 'kubeconfig', path: kubeconfigPath }
    }
    const told = kubeconfigPath ? `names ${kubeconfigPath}, which is not there` : 'is not set'
    return { kind: 'none', reason: `KUBECONFIG ${told}` }
  }
  if (wanted !== 'lab') {
    const program = await findProgram('kind')
    if (program !== undefined && (await hasDocker())) return { kind: 'kind', program }
    if (wanted === 'kind') return { kind: 'none', reason: 'kind or a Docker engine is missing' }
  }
  return planLab()
}

async function planLab(): Promise<Plan> {
  const obstacle = (await machineObstacle()) ?? (await buildObstacle())
  if (obstacle !== undefined) {
    const others = 'or set KUBECONFIG, or install kind and Docker'
    return { kind: 'none', reason: `${obstacle}; ${others}` }
  }
  const packages = await missingPackages()
  const programs = (await programStates()).filter((program) => !program.isBuilt)
  return {
    kind: 'lab',
    todo: [
      ...(packages.length > 0 ? [installCommand(packages)] : []),
      ...(programs.length > 0 ? [`go build of ${programs.map((p) => p.name).join(', ')}`] : []),
    ],
  }
}

async function hasDocker(): Promise<boolean> {
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 })
    return true
  } catch {
    return false
  }
}

/**
 * Gives a running cluster. The lab's first start on a machine builds Kubernetes, which takes about
 * ten minutes; later starts take half a minute.
 * @throws ClusterUnavailableError when this machine can have none.
 */
export async function startCluster(options: StartOptions = {}): Promise<Cluster> {
  const plan = await planCluster(options.kind)
  switch (plan.kind) {
    case 'none':
      throw new ClusterUnavailableError(plan.reason)
    case 'kubeconfig':
      return useKubeconfig(plan.path, options)
    case 'kind':
      return startKind(plan.program, options)
    case 'lab':
      return startLab(options)
  }
}
