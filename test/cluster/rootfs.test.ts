import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from './command.ts'
import { writeImageArchive } from './image.ts'
import { rootfsOf } from './rootfs.ts'

test('a root made of programs has what they need to run, and is an image with one layer', async () => {
  const path = await mkdtemp(join(tmpdir(), 'respmesh-rootfs-test-'))
  try {
    const root = await rootfsOf(['sh', 'cat'], {
      into: join(path, 'root'),
      files: { '/app/run.sh': { content: 'cat /app/text', mode: 0o755 } },
    })
    const { stdout: libraries } = await run('find', [root, '-name', 'libc.so*'])
    assert.notEqual(libraries, '')
    const archive = join(path, 'image.tar')
    const name = 'docker.io/respmesh/probe:test'
    await writeImageArchive({ name, root, entrypoint: ['sh', '/app/run.sh'] }, archive)
    const { stdout } = await run('tar', ['-xOf', archive, 'manifest.json'])
    const [manifest] = JSON.parse(stdout)
    assert.deepEqual(manifest.RepoTags, [name])
    const config = JSON.parse((await run('tar', ['-xOf', archive, manifest.Config])).stdout)
    assert.deepEqual(config.config.Entrypoint, ['sh', '/app/run.sh'])
    const layer = join(path, 'layer.tar')
    await run('sh', ['-c', 'tar -xOf "$1" layer.tar >"$2"', 'sh', archive, layer])
    const { stdout: sum } = await run('sha256sum', [layer])
    assert.deepEqual(config.rootfs.diff_ids, [`sha256:${sum.slice(0, 64)}`])
    const { stdout: entries } = await run('tar', ['-tvf', layer])
    assert.match(entries, /-rwxr-xr-x 0\/0 .* \.\/app\/run\.sh/)
  } finally {
    await rm(path, { recursive: true })
  }
})

test('a program that is not there is an error, not an empty image', async () => {
  const path = await mkdtemp(join(tmpdir(), 'respmesh-rootfs-test-'))
  await assert.rejects(rootfsOf(['no-such-program'], { into: path }), /no program no-such-program/)
  await rm(path, { recursive: true })
})
