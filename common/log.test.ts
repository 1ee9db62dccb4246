import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UpstreamError } from './errors.ts'
import { createLog } from './log.ts'
import { Secret } from './secret.ts'

function collect() {
  const lines: Record<string, unknown>[] = []
  const log = createLog({
    level: 'info',
    part: 'sidecar',
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  })
  return { lines, log }
}

test('a line is one JSON object with level, time, part, message and fields', () => {
  const { lines, log } = collect()
  log.child({ proxy: 'shop/cache' }).info({ epoch: 3 }, 'primary changed')
  const [{ time, ...rest } = {}] = lines
  assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/)
  assert.deepEqual(rest, {
    level: 'info',
    part: 'sidecar',
    proxy: 'shop/cache',
    epoch: 3,
    msg: 'primary changed',
  })
})

test('an error is logged with its code and its causes, a secret never', () => {
  const { lines, log } = collect()
  const cause = Object.assign(new Error('connect failed'), { code: 'ECONNREFUSED' })
  const err = new UpstreamError('RM_UPSTREAM_CONNECT', 'cannot reach the primary', { cause })
  log.error({ err, password: new Secret('hunter2') }, 'upstream failed')
  const text = JSON.stringify(lines)
  assert.ok(text.includes('RM_UPSTREAM_CONNECT') && text.includes('ECONNREFUSED'), text)
  assert.ok(!text.includes('hunter2'), text)
})

test('the level can be changed while running', () => {
  const { lines, log } = collect()
  log.debug({}, 'unseen')
  log.setLevel('debug')
  log.debug({}, 'seen')
  assert.deepEqual(
    lines.map((line) => line['msg']),
    ['seen'],
  )
})
