import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startGraceMs } from '../../common/limits.ts'
import { type HealthInput, readiness, startup } from './health.ts'

const serving: HealthInput = {
  sinceConfigMs: 1,
  isDraining: false,
  primary: 'ok',
  isAllowed: true,
  waitingFor: 'a configuration',
}

test('it is not ready without a configuration, and says what it waits for', () => {
  assert.deepEqual(readiness({ ...serving, sinceConfigMs: undefined }), {
    isOk: false,
    reason: 'waiting for a configuration',
  })
})

test('readiness does not follow a Redis outage', () => {
  assert.equal(readiness({ ...serving, primary: 'failing' }).isOk, true)
  assert.equal(readiness({ ...serving, primary: 'none' }).isOk, true)
})

test('the app is let start with the primary, or without it after the grace', () => {
  assert.equal(startup(serving).isOk, true)
  assert.equal(startup({ ...serving, primary: 'none' }).isOk, false)
  const late = { ...serving, primary: 'none', sinceConfigMs: startGraceMs } as const
  assert.equal(startup(late).isOk, true)
})

test('it says when the control plane is what is waited for', () => {
  const { reason } = startup({ ...serving, primary: 'none', isAllowed: false })
  assert.equal(reason, 'waiting for the primary, which is not granted by the control plane')
})

test('a draining sidecar takes no new connections', () => {
  assert.equal(readiness({ ...serving, isDraining: true }).isOk, false)
})
