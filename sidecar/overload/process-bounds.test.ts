import assert from 'node:assert/strict'
import { test } from 'node:test'
import { processBounds } from './process-bounds.ts'

const among = (files: Readonly<Record<string, string>>) => (path: string) => files[path]

test('the smallest bound of a v2 group and its parents holds', () => {
  const read = among({
    '/proc/self/cgroup': '0::/pod/main\n',
    '/sys/fs/cgroup/pod/memory.max': '268435456\n',
    '/sys/fs/cgroup/pod/main/memory.max': 'max\n',
  })
  assert.deepEqual(processBounds(read), { memoryBytesMax: 268_435_456 })
})

test('a v1 group is understood, and so is one without a bound', () => {
  const cgroup = '5:cpu,cpuacct:/a\n4:memory:/docker/x\n'
  const file = '/sys/fs/cgroup/memory/memory.limit_in_bytes'
  const read = among({ '/proc/self/cgroup': cgroup, [file]: '134217728\n' })
  assert.equal(processBounds(read).memoryBytesMax, 134_217_728)
  const unbounded = among({ '/proc/self/cgroup': cgroup, [file]: '9223372036854771712\n' })
  assert.equal(processBounds(unbounded).memoryBytesMax, undefined)
})

test('the number of open files is known, and nothing where there is nothing to read', () => {
  const limits =
    'Limit   Soft Limit   Hard Limit   Units\nMax open files            1024                 4096                 files\n'
  assert.deepEqual(processBounds(among({ '/proc/self/limits': limits })), { filesMax: 1024 })
  assert.deepEqual(processBounds(among({})), {})
})
