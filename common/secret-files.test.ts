import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { silentLog } from './log.ts'
import { FileWatch } from './secret-files.ts'
import { readSecret } from './secret.ts'

function scratch(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-files-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const counters = { fileReloads: 0, fileReloadErrors: 0 }
  const watch = new FileWatch(silentLog, counters)
  t.after(() => watch.stop())
  const valueOf = (file: string) =>
    watch.value({ what: 'a test', files: [file], read: () => readSecret({ file }, {}).reveal() })
  return { directory, counters, watch, valueOf }
}

test('a changed file is read again, an unusable one leaves what was there and is counted once', (t) => {
  const { directory, counters, watch, valueOf } = scratch(t)
  const file = join(directory, 'password')
  assert.throws(() => valueOf(file), { code: 'RM_SECRET_UNREADABLE' })
  writeFileSync(file, 'one\n')
  const value = valueOf(file)
  assert.equal(value.current(), 'one')
  assert.equal(counters.fileReloads, 0)
  writeFileSync(file, 'three\n')
  assert.equal(value.current(), 'three')
  for (const spoil of [() => writeFileSync(file, '\n'), () => rmSync(file)]) {
    const failures = counters.fileReloadErrors
    spoil()
    assert.equal(value.current(), 'three')
    assert.equal(value.current(), 'three')
    assert.equal(counters.fileReloadErrors, failures + 1)
    assert.equal(watch.staleCount, 1)
  }
  writeFileSync(file, 'four')
  assert.equal(value.current(), 'four')
  assert.deepEqual([counters.fileReloads, watch.staleCount], [2, 0])
})

test('a directory that is swapped behind a link, as Kubernetes does it, is noticed', (t) => {
  const { directory, valueOf } = scratch(t)
  const swapIn = (name: string, content: string) => {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'password'), content)
    symlinkSync(name, join(directory, '..data_tmp'))
    renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
  }
  swapIn('..2026_01', 'old')
  symlinkSync(join('..data', 'password'), join(directory, 'password'))
  const value = valueOf(join(directory, 'password'))
  assert.equal(value.current(), 'old')
  swapIn('..2026_02', 'new')
  rmSync(join(directory, '..2026_01'), { recursive: true })
  assert.equal(value.current(), 'new')
})
