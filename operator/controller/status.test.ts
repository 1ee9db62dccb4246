/** When a status is written: decisions at once, reports when nobody waits for them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusOffsetIntervalMs, statusReportDelayMs } from '../../common/limits.ts'
import type { RedisProxyStatus } from '../api/redis-proxy.ts'
import { needsWrite } from './status.ts'

const intent = { kind: 'Switchover', from: 'a:1', reason: 'asked for', startedAt: '' } as const
const sidecars = (current: number) => ({ connected: 2, current, summary: `${current}/2` })
const switching: RedisProxyStatus = { epoch: 2, phase: 'Switching', intent, sidecars: sidecars(0) }

test('what is decided is written at once, whatever the phase', () => {
  for (const change of [
    { phase: 'Steady' },
    { epoch: 3 },
    { intent: { ...intent, target: 'b:1' } },
    { primary: { address: 'b:1', runId: 'r', replId: 'h', since: '' } },
    { operation: { name: 'move', phase: 'Running', message: '', startedAt: '' } },
  ] as const) {
    assert.equal(
      needsWrite(switching, { ...switching, ...change }, 0),
      true,
      JSON.stringify(change),
    )
  }
})

test('in the midst of a change a report waits, but not for long', () => {
  const acked = { ...switching, sidecars: sidecars(2) }
  assert.equal(needsWrite(switching, acked, statusReportDelayMs - 1), false)
  assert.equal(needsWrite(switching, acked, statusReportDelayMs), true)
  assert.equal(needsWrite(switching, switching, statusReportDelayMs), false)
})

test('while nobody waits a report is written at once, and offsets now and then', () => {
  const steady: RedisProxyStatus = { ...switching, phase: 'Steady' }
  assert.equal(needsWrite(steady, { ...steady, sidecars: sidecars(2) }, 0), true)
  const member = (offset: number) => ({
    ...steady,
    members: [{ address: 'a:1', role: 'replica', state: 'Online', offset } as const],
  })
  assert.equal(needsWrite(member(1), member(2), statusOffsetIntervalMs - 1), false)
  assert.equal(needsWrite(member(1), member(2), statusOffsetIntervalMs), true)
})
