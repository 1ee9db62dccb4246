import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import { ProxyError, SystemError } from '../../common/errors.ts'
import { silentLog } from '../../common/log.ts'
import type { DataPlane } from '../data-plane.ts'
import { ConfigKeeper } from './keeper.ts'

const base = standaloneConfig({
  members: [
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
  ],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})

const at = (epoch: number, version: number, change: Partial<ProxyConfig> = {}): ProxyConfig => ({
  ...base,
  epoch,
  version,
  upstream: { ...base.upstream, discovery: 'operator' },
  ...change,
})

function fakeDataPlane(start: () => Promise<void> = async () => {}) {
  const obeyed: ProxyConfig[] = []
  let refusal: Error | undefined
  const dataPlane: DataPlane = {
    async start(config) {
      await start()
      obeyed.push(config)
    },
    prepare: async () => {},
    apply(config) {
      if (refusal !== undefined) throw refusal
      obeyed.push(config)
    },
    addresses: () => [],
    pause: async () => {},
    resume: () => {},
    terminateRaw: () => {},
    logMessages: () => {},
    async switchTo(config) {
      if (refusal !== undefined) throw refusal
      obeyed.push(config)
    },
    topology: () => undefined,
    view: () => assert.fail('not asked for'),
    onPrimaryChange: () => {},
    authority: { grant() {}, suspect() {}, onEvidence() {} },
    stop: async () => {},
  }
  const refuse = (error: Error | undefined) => {
    refusal = error
  }
  return { dataPlane, obeyed, refuse }
}

function keeperOver(dataPlane: DataPlane): ConfigKeeper {
  return new ConfigKeeper({}, { dataPlane, log: silentLog, clock: systemClock })
}

test('a newer configuration is applied in the turn in which it is offered', async () => {
  const { dataPlane, obeyed } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  await keeper.offer(at(1, 1))
  const offered = keeper.offer(at(2, 2))
  await Promise.resolve()
  assert.equal(obeyed.length, 2)
  assert.equal((await offered).kind, 'applied')
})

test('an older epoch never comes into force, whatever its version', async () => {
  const { dataPlane, obeyed } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  await keeper.offer(at(5, 5))
  const offered = await keeper.offer(at(4, 99))
  assert.equal(offered.kind === 'refused' && offered.code, 'RM_CONFIG_STALE_EPOCH')
  assert.equal(obeyed.length, 1)
})

test('what an earlier run had acknowledged is a floor even before anything is in force', async () => {
  const { dataPlane } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  keeper.remember(at(5, 5))
  assert.equal((await keeper.offer(at(4, 9))).kind, 'refused')
  assert.equal((await keeper.offer(at(5, 5))).kind, 'applied')
  assert.equal((await keeper.offer(at(5, 5))).kind, 'same')
})

test('the same version with other contents is of another control plane, and obeyed', async () => {
  const { dataPlane, obeyed } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  await keeper.offer(at(5, 5))
  const other = at(5, 5, { logLevel: 'debug' })
  assert.equal((await keeper.offer(other)).kind, 'applied')
  assert.equal((await keeper.offer(structuredClone(other))).kind, 'same')
  assert.equal(obeyed.at(-1)?.logLevel, 'debug')
})

test('what the data path refuses leaves the former one in force', async () => {
  const { dataPlane, refuse } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  await keeper.offer(at(1, 1))
  refuse(new ProxyError('RM_CONFIG_RESTART', 'not at run time'))
  await assert.rejects(keeper.offer(at(1, 2)), { code: 'RM_CONFIG_RESTART' })
  assert.equal(keeper.config?.version, 1)
  refuse(undefined)
  assert.equal((await keeper.offer(at(1, 2))).kind, 'applied')
})

test('offers that come while the first is being bound wait for it; the newest wins', async () => {
  const bound = Promise.withResolvers<void>()
  const { dataPlane, obeyed } = fakeDataPlane(() => bound.promise)
  const keeper = keeperOver(dataPlane)
  const offers = [at(1, 1), at(3, 3), at(2, 2)].map((config) => keeper.offer(config))
  bound.resolve()
  const kinds = (await Promise.all(offers)).map(({ kind }) => kind)
  assert.deepEqual(kinds, ['applied', 'applied', 'refused'])
  assert.deepEqual(
    obeyed.map(({ epoch }) => epoch),
    [1, 3],
  )
})

test('after a failed start another may be offered', async () => {
  let isTaken = true
  const { dataPlane } = fakeDataPlane(async () => {
    if (isTaken) throw new SystemError('RM_LISTEN_FAILED', 'taken')
  })
  const keeper = keeperOver(dataPlane)
  await assert.rejects(keeper.offer(at(1, 1)), { code: 'RM_LISTEN_FAILED' })
  assert.equal(keeper.config, undefined)
  isTaken = false
  assert.equal((await keeper.offer(at(1, 1))).kind, 'applied')
})

test('a primary that discovery found raises the epoch, and survives a new file that names its server', async () => {
  const { dataPlane, obeyed } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  await keeper.replace(base)
  keeper.follow({ host: 'b', port: 2, runId: 'r' }, [{ host: 'a', port: 1 }])
  assert.equal(keeper.config?.epoch, 1)
  assert.deepEqual(
    keeper.config.upstream.members.map(({ role }) => role),
    ['replica', 'primary'],
  )
  await keeper.replace({ ...base, logLevel: 'debug' })
  assert.equal(keeper.config.epoch, 2)
  assert.equal(keeper.config.upstream.primary?.runId, 'r')
  const [only] = base.upstream.members
  assert.ok(only)
  await keeper.replace({ ...base, upstream: { ...base.upstream, members: [only] } })
  assert.equal(keeper.config.upstream.primary, undefined)
  const epochs = obeyed.map(({ epoch }) => epoch)
  assert.deepEqual(epochs, epochs.toSorted())
})

test('only what leads to other servers, or to them in another way, is a change of the backend', async () => {
  const { dataPlane } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  const first = at(1, 1)
  assert.equal(keeper.changesBackend(first), true)
  await keeper.offer(first)
  keeper.follow({ host: 'a', port: 1 })
  assert.equal(keeper.changesBackend({ ...first, logLevel: 'debug' }), false)
  const credentials = { password: { env: 'OTHER' } }
  const upstream = { ...first.upstream, credentials }
  assert.equal(keeper.changesBackend({ ...first, upstream }), true)
})

test('an older epoch is told as a reason before anything is tried', async () => {
  const { dataPlane } = fakeDataPlane()
  const keeper = keeperOver(dataPlane)
  await keeper.offer(at(2, 1))
  assert.match(keeper.staleness(at(1, 9)) ?? '', /epoch 1 is older than 2.*STALE_EPOCH/)
  assert.equal(keeper.staleness(at(2, 0)), undefined)
})

test('what a person puts in place goes over between commands, with the primary that was found', async () => {
  const switched: ProxyConfig[] = []
  const { dataPlane, obeyed } = fakeDataPlane()
  const keeper = keeperOver({
    ...dataPlane,
    async switchTo(config) {
      switched.push(config)
    },
  })
  await keeper.offer(base)
  const primary = { host: 'b', port: 2, runId: 'r' }
  await keeper.replace({ ...base, logLevel: 'debug' }, { isSwitch: true, primary })
  assert.equal(obeyed.length, 1)
  assert.deepEqual(switched[0]?.upstream.primary, primary)
  assert.deepEqual(keeper.config?.upstream.primary, primary)
})
