import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import type { SidecarMessage } from '../../common/contract/stream.ts'
import { CommonStart } from './common-start.ts'

const config = { version: 7, epoch: 3 }

function scene() {
  const sent: SidecarMessage[] = []
  const start = new CommonStart()
  const state = { hasBegun: false }
  const waited = start
    .wait(config, (message) => sent.push(message))
    .then(() => {
      state.hasBegun = true
    })
  return { start, sent, state, waited }
}

test('it begins when all are ready for the same configuration', async () => {
  const { start, sent, state, waited } = scene()
  assert.deepEqual(sent, [{ kind: 'ready', ...config }])
  start.take({ kind: 'begin', version: 6, epoch: 3 })
  start.take({ kind: 'begin', version: 7, epoch: 2 })
  await immediate()
  assert.equal(state.hasBegun, false)
  start.take({ kind: 'begin', ...config })
  await waited
})

test('others are waited for neither for ever nor when there is nobody to tell of them', async () => {
  const alone = scene()
  await alone.waited
  const left = scene()
  left.start.end()
  await left.waited
})

test('whoever waits already is not forgotten for the next', async () => {
  const { start, waited } = scene()
  const next = start.wait({ version: 8, epoch: 3 }, () => {})
  await waited
  start.take({ kind: 'begin', version: 8, epoch: 3 })
  await next
})
