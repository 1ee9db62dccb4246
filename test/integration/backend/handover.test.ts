/** A planned change of the primary: what was acknowledged is there afterwards, and what cannot be done is left alone. */
import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '../../../common/clock.ts'
import { type Log, silentLog } from '../../../common/log.ts'
import { Secret } from '../../../common/secret.ts'
import type { Source } from '../../../operator/backend/backend.ts'
import { ServerConnection } from '../../../operator/backend/connection.ts'
import { handOver } from '../../../operator/backend/handover.ts'
import type { CommandParts } from '../../../operator/backend/names.ts'
import type { ServerProcess } from '../../../operator/backend/server-process.ts'
import type { Process } from '../../../operator/controller/plan/types.ts'
import { encodeCommand, until } from '../../support/servers.ts'
import { Rig, isFull, key } from './rig.ts'
import { SlowLink } from './slow-link.ts'
import { Writer } from './writer.ts'

const rounds = isFull ? 100 : 10

test('every write that the old primary acknowledged is on the new one', async (context) => {
  const rig = await Rig.start({ count: 3 })
  context.after(() => rig.stop())
  const spans: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const [old, next] = round % 2 === 0 ? [0, 1] : [1, 0]
    const writers = [1, 2, 3].map((id) => Writer.start(rig.at(old), `${round}:${id}`))
    await until('writes are acknowledged', () => writers.every(({ acked }) => acked > 20))
    const beganMs = performance.now()
    await rig.prober.handOver(key, rig.process(old), { to: rig.process(next), timeoutMs: 5000 })
    spans.push(performance.now() - beganMs)
    await Promise.all(writers.map((writer) => writer.ended()))
    for (const writer of writers) {
      assert.equal(writer.refusal?.split(' ', 1)[0], '-READONLY')
      const reply = await rig.at(next).command('GET', writer.key)
      assert.equal(Number(reply.split('\r\n')[1]), writer.acked)
    }
    assert.equal(await rig.at(next).info('role'), 'master')
    await until('the old primary is a replica', async () => {
      return (
        (await rig
          .at(old)
          .info('master_link_status')
          .catch(() => '')) === 'up'
      )
    })
    await rig.seen()
  }
  spans.sort((a, b) => a - b)
  const at = (share: number) => spans[Math.floor(share * spans.length)]?.toFixed(2)
  context.diagnostic(`${rounds} handovers: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`)
})

test('a replica that is behind is waited for', async (context) => {
  const rig = await Rig.start()
  context.after(() => rig.stop())
  const count = 48
  const value = 'x'.repeat(1024 * 1024)
  const client = createConnection({ host: rig.at(0).host, port: rig.at(0).port })
  let replyBytes = 0
  client.on('data', (chunk) => {
    replyBytes += chunk.length
  })
  for (let each = 0; each < count; each += 1) client.write(encodeCommand(['SET', `${each}`, value]))
  await until('all are acknowledged', () => replyBytes >= count * 5)
  client.destroy()
  await rig.prober.handOver(key, rig.process(0), { to: rig.process(1), timeoutMs: 10_000 })
  assert.equal(await rig.at(1).command('DBSIZE'), `:${count}\r\n`)
})

test('where the replica does not catch up, writers of the old primary go on', async (context) => {
  const rig = await Rig.start()
  context.after(() => rig.stop())
  const link = await SlowLink.to(rig.at(0).port)
  context.after(() => link.close())
  await rig.at(1).command('REPLICAOF', '127.0.0.1', String(link.port))
  await rig.inSync(0)
  const writer = Writer.start(rig.at(0), 'count')
  context.after(() => writer.cut())
  await until('writes are acknowledged', () => writer.acked > 10)
  let pausedMs = 0
  const from = await openProcess(rig, 0, async ([, sub]) => {
    if (sub !== 'PAUSE') return
    link.stall()
    const { acked } = writer
    await until('writes are acknowledged', () => writer.acked > acked + 100)
    pausedMs = performance.now()
  })
  const to = await openProcess(rig, 1)
  const { host, port } = rig.at(1)
  context.after(() => [from, to].map(({ close }) => close()))
  const options = { from, to, source: { host, port }, timeoutMs: 3000 }
  await assert.rejects(handOver(options, { clock: systemClock }), {
    code: 'RM_HANDOVER_FAILED',
    message: /bytes behind$/,
  })
  const { acked } = writer
  await until('writes are acknowledged', () => writer.acked > acked + 10)
  // Not only when the pause would have ended by itself.
  assert.ok(performance.now() - pausedMs < 2500, `${performance.now() - pausedMs} ms`)
  assert.equal(await rig.at(0).info('role'), 'master')
  assert.equal(await rig.at(1).info('role'), 'slave')
  // One that is behind from the start is not paused for at all.
  const handover = { to: rig.process(1), timeoutMs: 400 }
  await assert.rejects(rig.prober.handOver(key, rig.process(0), handover), /bytes behind$/)
})

test('what an operator began that died at any point is finished by the next', async (context) => {
  let from = 0
  let isComplete = false
  const rig = await Rig.start()
  context.after(() => rig.stop())
  for (let step = 1; !isComplete; step += 1) {
    const to = 1 - from
    const writer = Writer.start(rig.at(from), `count:${step}`)
    await until('writes are acknowledged', () => writer.acked > 5)
    isComplete = await handOverUntil(rig, { from, to, step })
    const beganMs = performance.now()
    await rig.prober.handOver(key, rig.process(from), { to: rig.process(to), timeoutMs: 5000 })
    await writer.ended()
    assert.ok(performance.now() - beganMs < 3000, 'its clients were let go')
    assert.equal(writer.refusal?.split(' ', 1)[0], '-READONLY')
    const reply = await rig.at(to).command('GET', writer.key)
    assert.equal(Number(reply.split('\r\n')[1]), writer.acked, `died at step ${step}`)
    await rig.inSync(to)
    assert.ok(step < 20)
    from = to
  }
  // All that was copied whole is the first replica.
  const copies = await Promise.all(rig.servers.map((server) => server.info('sync_full')))
  assert.deepEqual(copies, ['1', '0'])
})

test('a server whose writers may not be paused hands over all the same', async (context) => {
  const warnings: string[] = []
  const users = ['ACL SETUSER few on >SECRET -@all +info +replicaof']
  const credentials = { username: 'few', password: new Secret('SECRET') }
  const rig = await Rig.start({ users, target: { credentials } })
  context.after(() => rig.stop())
  const log = { ...silentLog, warn: (_data: unknown, text: string) => warnings.push(text) }
  rig.startAnew({ log: log as unknown as Log })
  await rig.seen()
  await rig.prober.handOver(key, rig.process(0), { to: rig.process(1), timeoutMs: 5000 })
  assert.deepEqual(warnings, ['server cannot pause writers; only proxies hold'])
  await rig.inSync(1)
})

test('what cannot succeed is not begun', async (context) => {
  const rig = await Rig.start({ count: 3 })
  context.after(() => rig.stop())
  const fails = (from: Process, to: Process & Source, message: RegExp) => {
    const attempt = rig.prober.handOver(key, from, { to, timeoutMs: 5000 })
    return assert.rejects(attempt, { code: 'RM_HANDOVER_FAILED', message })
  }
  const [old, next] = [rig.process(0), rig.process(1)]
  await fails({ ...old, runId: 'another' }, next, /not connected as process another/)
  await fails(old, { ...next, runId: 'another' }, /not connected as process another/)
  await fails(rig.process(2), next, /is no primary/)
  await rig.at(1).command('REPLICAOF', '127.0.0.1', '1')
  await fails(old, next, /has lost the connection/)
  await rig.at(1).command('REPLICAOF', 'NO', 'ONE')
  await rig.at(1).command('DEBUG', 'CHANGE-REPL-ID')
  await fails(old, next, /is a primary with another history/)
  assert.equal(await rig.at(0).command('SET', 'key', 'value'), '+OK\r\n')
})

/** As an operator that dies before its `step`th command is sent. Returns whether it got through before. */
async function handOverUntil(
  rig: Rig,
  { from, to, step }: { readonly from: number; readonly to: number; readonly step: number },
): Promise<boolean> {
  let count = 0
  const died = Promise.withResolvers<boolean>()
  const live = async () => {
    count += 1
    if (count < step) return
    died.resolve(false)
    await Promise.withResolvers<never>().promise
  }
  const [old, next] = [await openProcess(rig, from, live), await openProcess(rig, to, live)]
  const { host, port } = rig.at(to)
  const options = { from: old, to: next, source: { host, port }, timeoutMs: 5000 }
  const done = handOver(options, { clock: systemClock }).then(() => true)
  const isDone = await Promise.race([done, died.promise])
  for (const { close } of [old, next]) close()
  return isDone
}

type Parts = readonly [string, ...CommandParts]

async function openProcess(
  rig: Rig,
  index: number,
  before: (parts: Parts) => Promise<void> = async () => {},
): Promise<ServerProcess & { close: () => void }> {
  const connection = new ServerConnection(rig.at(index))
  await connection.open(() => {})
  return {
    ...rig.process(index),
    isRenamed: false,
    call: async (...parts) => {
      await before(parts as Parts)
      return connection.call(...(parts as Parts))
    },
    close: () => connection.close(),
  }
}
