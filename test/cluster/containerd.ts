/** Brings images into the containerd of a run, from this process or another one. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Output, waitFor } from './command.ts'
import { containerdSocket } from './configs.ts'
import { type ImageOptions, writeImageArchive } from './image.ts'
import { inside } from './sandbox.ts'

export type ImageStore = {
  readonly initPid: number
  readonly runPath: string
  readonly snapshotter: string
  /** Set when it is over with the run. */
  readonly signal?: AbortSignal
}

export async function loadImage(store: ImageStore, image: ImageOptions): Promise<void> {
  const archivePath = join(store.runPath, `image-${process.hrtime.bigint()}.tar`)
  try {
    await writeImageArchive(image, archivePath)
    await importArchive(store, archivePath)
    await untilKnown(store, image.name)
  } finally {
    await rm(archivePath, { force: true })
  }
}

export async function loadArchive(store: ImageStore, archivePath: string): Promise<void> {
  const { stdout } = await importArchive(store, archivePath)
  for (const match of stdout.matchAll(/^unpacking (\S+) \(/gm)) {
    await untilKnown(store, match[1] ?? '')
  }
}

async function importArchive(store: ImageStore, archivePath: string): Promise<Output> {
  await until(store, 'containerd', () => ctr(store, ['list', '-q']))
  return ctr(store, ['import', '--snapshotter', store.snapshotter, archivePath])
}

/** The part of containerd that serves the kubelet learns of an import a moment later. */
async function untilKnown(store: ImageStore, name: string): Promise<void> {
  await until(store, `${name} to be known`, async () => {
    const { stdout } = await ctr(store, ['list', `name==${name}`])
    return stdout.includes('io.cri-containerd.image=managed')
  })
}

function until<T>(store: ImageStore, what: string, condition: () => Promise<T | false>) {
  const signal = store.signal && { signal: store.signal }
  return waitFor(condition, { what, timeoutMs: 30_000, ...signal })
}

function ctr(store: ImageStore, args: readonly string[]): Promise<Output> {
  const address = ['--address', containerdSocket, '--namespace', 'k8s.io']
  return inside(store, 'ctr', [...address, 'images', ...args])
}
