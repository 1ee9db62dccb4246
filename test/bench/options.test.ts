import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sections } from './model.ts'
import { parseOptions, UsageError } from './options.ts'

test('without options five rounds run over all sections and targets', () => {
  const options = parseOptions([])
  assert.equal(options?.roundCount, 5)
  assert.equal(options.requests, undefined)
  assert.deepEqual(options.sections, sections)
  assert.deepEqual(options.targets.slice(0, 3), ['direct', 'haproxy', 'twemproxy'])
  assert.ok(options.targets.includes('respmesh') && options.mayDownload)
})

test('--only and --targets keep the order of the tables', () => {
  const options = parseOptions(['--only', 'unix,tcp', '--targets', 'respmesh,direct', '--offline'])
  assert.deepEqual(options?.sections, ['tcp', 'unix'])
  assert.deepEqual(options.targets, ['direct', 'respmesh'])
  assert.equal(options.mayDownload, false)
})

test('--requests takes one count for both depths or one for each', () => {
  assert.deepEqual(
    [...(parseOptions(['--requests', '500'])?.requests ?? [])],
    [
      [1, 500],
      [16, 5000],
    ],
  )
  assert.deepEqual(
    [...(parseOptions(['--requests', '500,900'])?.requests ?? [])],
    [
      [1, 500],
      [16, 900],
    ],
  )
})

test('what has no meaning is refused with its name', () => {
  assert.throws(() => parseOptions(['--rounds', '0']), /--rounds takes whole numbers/)
  assert.throws(() => parseOptions(['--requests', '1,2,3']), UsageError)
  assert.throws(() => parseOptions(['--targets', 'nginx']), /no target nginx/)
  assert.throws(() => parseOptions(['--only', 'udp']), /no section udp; there are tcp, unix/)
  assert.throws(() => parseOptions(['--fast']), UsageError)
  assert.equal(parseOptions(['--help']), undefined)
})
