/**
 * Writes a folder as a container image: one layer, in the archive form of `docker save`, which
 * containerd, kind and podman read. Needs `tar`, and no image builder.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './command.ts'

export type ImageOptions = {
  /** Full name, `docker.io/respmesh/respmesh:dev`: pods must name it the same way. */
  readonly name: string
  /** The folder which becomes the root of the container's file system; see `rootfsOf`. */
  readonly root: string
  readonly entrypoint: readonly string[]
  readonly cmd?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** `65532:65532`, or a name from the image's /etc/passwd. Kubernetes checks numbers only. */
  readonly user?: string
  readonly workingDir?: string
}

/** Writes the image to `archivePath`. All files belong to root in it, with the modes they have. */
export async function writeImageArchive(options: ImageOptions, archivePath: string): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'respmesh-image-'))
  try {
    const layer = join(path, 'layer.tar')
    const owner = ['--numeric-owner', '--owner=0', '--group=0', '--sort=name', '--mtime=@0']
    await run('tar', [...owner, '-C', options.root, '-cf', layer, '.'])
    const diffId = await sha256Of(layer)
    const config = JSON.stringify(imageConfig(options, diffId))
    const configName = `${createHash('sha256').update(config).digest('hex')}.json`
    const manifest = [{ Config: configName, RepoTags: [options.name], Layers: ['layer.tar'] }]
    await writeFile(join(path, configName), config)
    await writeFile(join(path, 'manifest.json'), JSON.stringify(manifest))
    const part = join(path, 'image.tar')
    await run('tar', ['-C', path, '-cf', part, 'manifest.json', configName, 'layer.tar'])
    await moveFile(part, archivePath)
  } finally {
    await rm(path, { recursive: true, force: true })
  }
}

function imageConfig(options: ImageOptions, diffId: string): object {
  const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const env = Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`)
  const architectures: Readonly<Record<string, string>> = { x64: 'amd64' }
  return {
    architecture: architectures[process.arch] ?? process.arch,
    os: 'linux',
    config: {
      Env: 'PATH' in (options.env ?? {}) ? env : [path, ...env],
      Entrypoint: options.entrypoint,
      ...(options.cmd && { Cmd: options.cmd }),
      ...(options.user !== undefined && { User: options.user }),
      WorkingDir: options.workingDir ?? '/',
    },
    rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
    history: [{ created_by: 'respmesh test/cluster' }],
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest('hex')
}

async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch {
    // Another file system.
    await run('cp', [from, to])
  }
}
