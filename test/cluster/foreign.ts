/** Clusters that are not made here: one that the user names, and one that kind makes in Docker. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { clientsOf } from './clients.ts'
import { findProgram, run } from './command.ts'
import { type ImageStore, loadArchive, loadImage } from './containerd.ts'
import { writeImageArchive } from './image.ts'
import { isAlive, readRecord, type RunRecord } from './sandbox.ts'
import { ensurePrograms, type Report } from './toolchain.ts'
import type { Cluster, StartOptions } from './types.ts'

export async function useKubeconfig(path: string, options: StartOptions): Promise<Cluster> {
  const report = options.report ?? (() => {})
  const homePath = await mkdtemp(join(tmpdir(), 'respmesh-foreign-'))
  const clients = clientsOf({ kubeconfigPath: path, homePath, ...(await findClients(report)) })
  const stop = () => rm(homePath, { recursive: true, force: true })
  const lab = await labOf(path)
  report(`using ${lab === undefined ? 'the cluster' : 'the lab'} of ${path}`)
  return {
    ...clients,
    kind: lab === undefined ? 'kubeconfig' : 'lab',
    logsPath: lab?.logsPath,
    network: lab?.network,
    loadImage: async (image) => {
      if (lab !== undefined) await loadImage(lab.store, image)
      // It takes images from its registry only. If they are not there, pods say so.
      else report(`the nodes of the cluster must be able to pull ${image.name}`)
    },
    loadArchive: async (archivePath) => {
      if (lab !== undefined) await loadArchive(lab.store, archivePath)
      else report(`the nodes of the cluster must be able to pull the images of ${archivePath}`)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

type ForeignLab = Required<Pick<RunRecord, 'logsPath' | 'network'>> & { store: ImageStore }

/** A lab that `main.ts up` started, known by the record beside its kubeconfig. */
async function labOf(kubeconfigPath: string): Promise<ForeignLab | undefined> {
  const runPath = dirname(kubeconfigPath)
  const record = await readRecord(runPath)
  if (record === undefined || !(await isAlive(runPath))) return undefined
  const { initPid, network, snapshotter, logsPath } = record
  if (initPid === undefined || network === undefined || snapshotter === undefined) return undefined
  return { logsPath, network, store: { initPid, runPath, snapshotter } }
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
