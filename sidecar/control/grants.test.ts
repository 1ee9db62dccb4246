import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import type { SidecarMessage } from '../../common/contract/stream.ts'
import { grantAsksMax } from '../../common/limits.ts'
import type { Grant } from '../switch/permit.ts'
import { Grants } from './grants.ts'

const base = standaloneConfig({
  members: [{ host: 'a', port: 1 }],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})

const config = (epoch: number, grantTtlMs?: number, hasPrimary = true): ProxyConfig => ({
  ...base,
  epoch,
  upstream: {
    ...base.upstream,
    discovery: 'operator',
    ...(grantTtlMs !== undefined && { grantTtlMs }),
    ...(hasPrimary && { primary: { host: 'a', port: 1 } }),
  },
})

type Renew = Extract<SidecarMessage, { kind: 'renew' }>

function scene(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const asked: Renew[] = []
  const given: Grant[] = []
  const now = { ms: 1000 }
  const grants = new Grants({ nowMs: () => now.ms, give: (grant) => given.push(grant) })
  t.after(() => grants.stop())
  const pass = (ms: number) => {
    now.ms += ms
    t.mock.timers.tick(ms)
  }
  const send = (message: Renew) => asked.push(message)
  const answer = (renew = asked.at(-1)) => {
    assert.ok(renew)
    grants.take({ kind: 'grant', seq: renew.seq, epoch: renew.epoch })
  }
  return { grants, asked, given, now, pass, send, answer }
}

test('a grant counts from when it was asked for, and is asked for again in time', (t) => {
  const { grants, asked, given, pass, send, answer } = scene(t)
  grants.open(send)
  assert.equal(asked.length, 0, 'nothing is wanted yet')
  grants.use(config(3, 400))
  assert.deepEqual(asked, [{ kind: 'renew', seq: 1, epoch: 3, ttlMs: 400 }])
  pass(70)
  answer()
  assert.deepEqual(given, [{ uid: 'standalone', epoch: 3, untilMs: 1400 }])
  pass(30)
  pass(100)
  assert.equal(asked.length, 3)
})

test('answers that nobody waits for give nothing', (t) => {
  const { grants, asked, given, send, answer, pass } = scene(t)
  grants.open(send)
  grants.use(config(3, 400))
  grants.take({ kind: 'grant', seq: 99, epoch: 3 })
  grants.take({ kind: 'grant', seq: 1, epoch: 2 })
  const [first] = asked
  pass(100)
  answer()
  answer(first)
  assert.equal(given.length, 1, 'an older answer does not shorten a newer one')
  pass(100)
  const beforeLoss = asked.at(-1)
  grants.close()
  grants.open(send)
  answer(beforeLoss)
  assert.equal(given.length, 1, 'an exchange that ended says nothing')
  const ofOldEpoch = asked.at(-1)
  grants.use(config(4, 400))
  answer(ofOldEpoch)
  assert.equal(given.length, 1)
  answer()
  assert.equal(given.at(-1)?.epoch, 4)
})

test('a shorter time counts for what was granted before, a longer one does not', (t) => {
  const { grants, given, send, answer, pass } = scene(t)
  grants.open(send)
  grants.use(config(3, 400))
  answer()
  pass(10)
  grants.use(config(3, 200))
  assert.deepEqual(given.at(-1), { uid: 'standalone', epoch: 3, untilMs: 1200 })
  grants.use(config(3, 4000))
  assert.equal(given.length, 2)
  answer()
  assert.equal(given.at(-1)?.untilMs, 5010)
})

test('nothing is asked for where no grant is wanted', (t) => {
  const { grants, asked, send, pass } = scene(t)
  grants.open(send)
  for (const one of [config(3), config(4, 400, false)]) grants.use(one)
  grants.use({ ...config(5, 400), upstream: { ...config(5, 400).upstream, discovery: 'self' } })
  pass(5000)
  assert.deepEqual(asked, [])
})

test('a control plane that never answers costs a bounded memory', (t) => {
  const { grants, asked, given, send, answer, pass } = scene(t)
  grants.open(send)
  grants.use(config(3, 400))
  for (let times = 0; times <= grantAsksMax; times += 1) pass(100)
  answer(asked[0])
  assert.deepEqual(given, [])
  answer()
  assert.equal(given.length, 1)
})
