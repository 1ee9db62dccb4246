import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import { silentLog } from '../../common/log.ts'
import { newCounters } from '../data-plane.ts'
import { until } from '../../test/support/servers.ts'
import { Hearing } from '../upstream/hearing.ts'
import { machineMs } from './machine-time.ts'
import { Permit } from './permit.ts'

const base = standaloneConfig({
  members: [{ host: 'a', port: 1 }],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})

const at = (epoch: number, changes: Partial<ProxyConfig['upstream']> = {}): ProxyConfig => ({
  ...base,
  epoch,
  upstream: {
    ...base.upstream,
    discovery: 'operator',
    grantTtlMs: 60_000,
    primary: { host: 'a', port: 1 },
    ...changes,
  },
})

const withdrawn = (epoch: number, changes: Partial<ProxyConfig['upstream']> = {}): ProxyConfig => {
  const { upstream, ...config } = at(epoch, changes)
  const { primary: _none, ...rest } = upstream
  return { ...config, upstream: rest }
}

/** A process that can lose time between two of its steps, as a suspended one does. */
function scene(t: TestContext) {
  const lost = { ms: 0 }
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + lost.ms }
  const hearing = new Hearing()
  const counters = newCounters()
  const events: string[] = []
  let config = at(3)
  const permit = new Permit({
    clock,
    log: silentLog,
    counters,
    hearing,
    end: () => events.push('end'),
    obey: () => use(config),
  })
  function use(next: ProxyConfig): void {
    config = next
    events.push(permit.allowed(next).upstream.primary === undefined ? 'held' : 'used')
  }
  t.after(() => permit.stop())
  const give = (epoch: number, forMs: number, uid = 'standalone') =>
    permit.give({ uid, epoch, untilMs: machineMs() + forMs })
  return { permit, hearing, counters, events, use, give, lost }
}

const ended = (events: readonly string[]) => until('it ends', () => events.at(-1) === 'end')

test('a primary is held back until it is granted, and used until that ends', (t) => {
  const { permit, events, use, give, lost, hearing, counters } = scene(t)
  use(at(3))
  assert.deepEqual(events, ['held'])
  assert.equal(permit.view?.isValid, false)
  give(3, 1000)
  assert.deepEqual(events, ['held', 'used'])
  assert.equal(permit.view?.isValid, true)
  assert.equal(hearing.take(1), true)
  lost.ms += 1001
  assert.equal(hearing.take(1), false, 'what comes late is found to be late without a timer')
  assert.deepEqual(events.slice(2), ['held', 'end'])
  assert.equal(counters.grantsExpired, 1)
  give(3, 5000)
  assert.equal(events.at(-1), 'used')
})

test('a timer ends it where nothing comes', async (t) => {
  const { events, use, give } = scene(t)
  use(at(3))
  give(3, 200)
  assert.equal(events.at(-1), 'used')
  await ended(events)
  assert.deepEqual(events.slice(-2), ['held', 'end'])
})

test('a timer that is early looks again', async (t) => {
  const { events, use, give, lost } = scene(t)
  use(at(3))
  give(3, 200)
  lost.ms -= 20
  await ended(events)
})

test('a renewed grant goes on without a break', (t) => {
  const { events, use, give, lost, hearing } = scene(t)
  use(at(3))
  give(3, 1000)
  lost.ms += 900
  give(3, 2000)
  lost.ms += 900
  assert.equal(hearing.take(1), true)
  assert.deepEqual(events, ['held', 'used'])
})

test('a grant of another epoch or another resource allows nothing', (t) => {
  const { events, use, give } = scene(t)
  use(at(3))
  give(2, 1000)
  give(3, 1000, 'other')
  assert.deepEqual(events, ['held'])
  give(3, 1000)
  use(at(4))
  assert.equal(events.at(-1), 'held', 'the next epoch has to be granted anew')
  assert.equal(events.includes('end'), false)
})

test('a grant that came too late allows nothing', (t) => {
  const { events, use, give } = scene(t)
  use(at(3))
  give(3, -1)
  assert.equal(events.includes('used'), false)
})

test('what is owed in a handover may not come later than the grant that it was sent under', (t) => {
  const { events, use, give, lost, hearing } = scene(t)
  use(at(3))
  give(3, 1000)
  use(withdrawn(4, { handover: { drainMs: 5000 } }))
  assert.equal(hearing.take(1), true, 'what was sent is answered')
  lost.ms += 1001
  assert.equal(hearing.take(1), false)
  assert.deepEqual(events.slice(-2), ['held', 'end'])
})

test('without the wish for grants nothing is asked for', (t) => {
  const { permit, events, use, give, lost, hearing, counters } = scene(t)
  use(at(3))
  give(3, 1000)
  const { grantTtlMs: _none, ...upstream } = at(3).upstream
  use({ ...at(3), upstream })
  lost.ms += 5000
  assert.equal(hearing.take(1), true)
  assert.equal(events.at(-1), 'used')
  assert.equal(permit.view, undefined)
  use(withdrawn(4))
  assert.equal(counters.grantsExpired, 0)
})
