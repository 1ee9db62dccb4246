import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOptions, UsageError } from './options.ts'

test('without options five rounds run over all targets but those on unix sockets', () => {
  const options = parseOptions([])
  assert.equal(options?.roundCount, 5)
  assert.equal(options.requests, undefined)
  assert.deepEqual(options.targets.slice(0, 3), ['direct', 'haproxy', 'twemproxy'])
  assert.ok(options.targets.includes('respmesh') && !options.targets.includes('respmesh-unix'))
})

test('--only keeps the order of the tables, --unix adds its two', () => {
  assert.deepEqual(parseOptions(['--only', 'respmesh,direct'])?.targets, ['direct', 'respmesh'])
  assert.deepEqual(parseOptions(['--only', 'respmesh', '--unix'])?.targets, [
    'respmesh',
    'direct-unix',
    'respmesh-unix',
  ])
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
  assert.throws(() => parseOptions(['--only', 'nginx']), /no target nginx/)
  assert.throws(() => parseOptions(['--fast']), UsageError)
  assert.equal(parseOptions(['--help']), undefined)
})
