/** The images that the test runs, assembled from what this machine has; see images/ for the product's own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findProgram, run } from '../../cluster/command.ts'
import { type Cluster, nonRootId, rootfsOf } from '../../cluster/index.ts'

const root = join(import.meta.dirname, '..', '..', '..')

/** As the chart names it with `imageValues`. */
export const productImage = { repository: 'docker.io/respmesh/respmesh', tag: 'e2e' }
/** As examples/ name it. */
export const redisImage = 'docker.io/library/redis:7'
export const writerImage = 'docker.io/respmesh/writer:e2e'

/** @throws Error if there is no redis-server on this machine */
export async function loadImages(cluster: Cluster): Promise<void> {
  await loadProduct(cluster)
  await loadFolder(cluster, [process.execPath], {
    name: writerImage,
    files: { '/app/writer.ts': { from: join(import.meta.dirname, 'writer.ts') } },
    entrypoint: ['node', '/app/writer.ts'],
  })
  await loadFolder(cluster, ['redis-server', 'redis-cli', 'sh', 'sleep'], {
    name: redisImage,
    files: {},
    entrypoint: ['redis-server'],
  })
}

/** The very root that the product’s own image has. */
async function loadProduct(cluster: Cluster): Promise<void> {
  await inFolder(async (folder) => {
    await run('sh', [join(root, 'images', 'rootfs.sh'), folder, process.execPath])
    await cluster.loadImage({
      name: `${productImage.repository}:${productImage.tag}`,
      root: folder,
      entrypoint: ['/usr/local/bin/node', '/app/respmesh.mjs'],
      user: `${nonRootId}:${nonRootId}`,
    })
  })
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'respmesh-e2e-'))
  try {
    await work(join(path, 'root'))
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

interface FolderImage {
  readonly name: string
  readonly files: Readonly<Record<string, { readonly from: string }>>
  readonly entrypoint: readonly string[]
}

async function loadFolder(
  cluster: Cluster,
  programs: readonly string[],
  { name, files, entrypoint }: FolderImage,
): Promise<void> {
  await inFolder(async (path) => {
    const folder = await rootfsOf(programs, { into: path, files })
    const user = `${nonRootId}:${nonRootId}`
    await cluster.loadImage({ name, root: folder, entrypoint, user })
  })
}

/** What is missing on this machine; undefined: nothing. */
export async function missingProgram(): Promise<string | undefined> {
  for (const program of ['redis-server', 'redis-cli']) {
    if ((await findProgram(program)) === undefined) return program
  }
  return undefined
}
