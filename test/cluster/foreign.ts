/** Clusters that are not made here: one that the user names, and one that kind makes in Docker. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { clientsOf } from './clients.ts'
import { findProgram, run } from './command.ts'
import { writeImageArchive } from './image.ts'
import { ensurePrograms, type Report } from './toolchain.ts'
import type { Cluster, StartOptions } from './types.ts'

export async function useKubeconfig(path: string, options: StartOptions): Promise<Cluster> {
  const report = options.report ?? (() => {})
  const homePath = await mkdtemp(join(tmpdir(), 'respmesh-foreign-'))
  const clients = clientsOf({ kubeconfigPath: path, homePath, ...(await findClients(report)) })
  const stop = () => rm(homePath, { recursive: true, force: true })
  report(`using the cluster of ${path}`)
  return {
    ...clients,
    kind: 'kubeconfig',
    logsPath: undefined,
    network: undefined,
    // A foreign cluster takes images from its registry only; if they are not there, pods say so.
    loadImage: async (image) => report(`${image.name} must be reachable for the cluster's nodes`),
    loadArchive: async (archive) => report(`${archive} must be reachable for the cluster's nodes`),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

export async function startKind(kind: string, options: StartOptions): Promise<Cluster> {
  const report = options.report ?? (() => {})
  const homePath = await mkdtemp(join(tmpdir(), 'respmesh-kind-'))
  const name = basename(homePath).toLowerCase()
  const kubeconfigPath = join(homePath, 'kubeconfig')
  const stop = async () => {
    await run(kind, ['delete', 'cluster', '--name', name, '--kubeconfig', kubeconfigPath])
    await rm(homePath, { recursive: true, force: true })
  }
  try {
    const clients = clientsOf({ kubeconfigPath, homePath, ...(await findClients(report)) })
    report(`making the kind cluster ${name}`)
    const args = ['create', 'cluster', '--name', name, '--kubeconfig', kubeconfigPath]
    await run(kind, [...args, '--wait', '180s'], { timeoutMs: 600_000 })
    const loadArchive = async (archivePath: string) => {
      await run(kind, ['load', 'image-archive', archivePath, '--name', name])
    }
    return {
      ...clients,
      kind: 'kind',
      logsPath: undefined,
      network: undefined,
      loadArchive,
      loadImage: async (image) => {
        const archivePath = join(homePath, 'image.tar')
        await writeImageArchive(image, archivePath)
        await loadArchive(archivePath)
        await rm(archivePath)
      },
      stop,
      [Symbol.asyncDispose]: stop,
    }
  } catch (error) {
    await stop().catch(() => {})
    throw error
  }
}

/** Those of the machine if it has them, else our own. */
async function findClients(report: Report): Promise<{ kubectlPath: string; helmPath: string }> {
  const found = { kubectl: await findProgram('kubectl'), helm: await findProgram('helm') }
  const missing = Object.entries(found).filter(([, path]) => path === undefined)
  const built = await ensurePrograms(
    report,
    missing.map(([name]) => name),
  )
  const pathOf = (name: 'kubectl' | 'helm') => {
    const path = found[name] ?? built.get(name)
    if (path === undefined) throw new Error(`there is no ${name}`)
    return path
  }
  return { kubectlPath: pathOf('kubectl'), helmPath: pathOf('helm') }
}
