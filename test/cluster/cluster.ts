/** Decides which kind of cluster a machine can have; `lab.ts` and `foreign.ts` make them. */
import { existsSync } from 'node:fs'
import { findProgram, run } from './command.ts'
import { startKind, useKubeconfig } from './foreign.ts'
import { startLab } from './lab.ts'
import { installCommand, machineObstacle, missingPackages } from './machine.ts'
import { buildObstacle, programStates } from './toolchain.ts'
import type { Cluster, ClusterKind, StartOptions } from './types.ts'

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
  if (plan.kind === 'none') throw new ClusterUnavailableError(plan.reason)
  if (plan.kind === 'kubeconfig') return useKubeconfig(plan.path, options)
  if (plan.kind === 'kind') return startKind(plan.program, options)
  return startLab(options)
}
