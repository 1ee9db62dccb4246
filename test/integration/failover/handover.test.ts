/** A planned change of the primary under clients that write: what they notice of it, and what is there afterwards. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { textOf } from '../../../sidecar/resp/decode.ts'
import { until } from '../../support/servers.ts'
import { startFleet } from '../switch/fleet.ts'
import { WireClient, numberOf } from '../switch/wire.ts'
import { type HandoverRig, type RigOptions, startHandoverRig } from './handover-rig.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const handovers = isFull ? 100 : 20
const fleetHandovers = isFull ? 50 : 4
const writers = 16

/** Counts up a key of its own, and sets another for each number, until it is told to stop. */
class Writer {
  readonly errors: string[] = []
  count = 0
  longestMs = 0
  isRunning = true
  readonly ended: Promise<void>
  readonly name: string

  constructor(name: string, incr: (key: string) => Promise<number>) {
    this.name = name
    this.ended = this.run(incr)
  }

  takeLongest(): number {
    const { longestMs } = this
    this.longestMs = 0
    return longestMs
  }

  private async run(incr: (key: string) => Promise<number>): Promise<void> {
    while (this.isRunning && this.errors.length < 10) {
      const start = performance.now()
      try {
        const value = await incr(this.name)
        this.count += 1
        if (value !== this.count)
          this.errors.push(`${this.name} counted ${value}, not ${this.count}`)
      } catch (error) {
        this.errors.push(`${this.name}: ${String(error)}`)
      }
      this.longestMs = Math.max(this.longestMs, performance.now() - start)
    }
  }
}

async function startWriters(context: TestContext, { port }: HandoverRig): Promise<Writer[]> {
  const found: Writer[] = []
  for (let index = 0; index < writers; index += 1) {
    const client = new WireClient(port, () => {})
    context.after(() => client.close())
    if (index % 4 === 3) await client.ask('SELECT', '1')
    found.push(new Writer(`wire${index}`, async (key) => numberOf(await client.ask('INCR', key))))
  }
  for (const protocol of [2, 3] as const) {
    const redis = new Redis({ port, protocol, retryStrategy: () => null, maxRetriesPerRequest: 0 })
    redis.on('error', () => {})
    context.after(() => redis.disconnect())
    found.push(new Writer(`ioredis${protocol}`, (key) => redis.incr(key)))
    const modern = createClient({ socket: { port, reconnectStrategy: false }, RESP: protocol })
    modern.on('error', () => {})
    await modern.connect()
    context.after(() => modern.destroy())
    found.push(new Writer(`node-redis${protocol}`, (key) => modern.incr(key)))
  }
  return found
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0
}

async function handOverOften(
  context: TestContext,
  options: RigOptions,
  rounds = handovers,
): Promise<void> {
  const rig = await startHandoverRig(context, options)
  const all = await startWriters(context, rig)
  const stalls: number[] = []
  const steps: string[] = []
  for (let round = 0; round < rounds; round += 1) {
    const before = all.map(({ count }) => count)
    await until('everybody writes', () =>
      all.every(({ count }, index) => count > (before[index] ?? 0) + 5),
    )
    for (const writer of all) writer.takeLongest()
    const { ackMs, serversMs, releaseMs } = await rig.handOver()
    const after = all.map(({ count }) => count)
    await until('everybody writes', () =>
      all.every(({ count }, index) => count > (after[index] ?? 0)),
    )
    stalls.push(Math.max(...all.map((writer) => writer.takeLongest())))
    steps.push([ackMs, serversMs, releaseMs].map((ms) => ms.toFixed(1)).join('+'))
  }
  for (const writer of all) writer.isRunning = false
  await Promise.all(all.map(({ ended }) => ended))
  assert.deepEqual(
    all.flatMap(({ errors }) => errors),
    [],
  )
  for (const { name, count } of all) {
    const database =
      /^wire\d*[37]$|^wire1[15]$/.test(name) && Number(name.slice(4)) % 4 === 3 ? '1' : '0'
    const client = rig.admin(rig.serving)
    await client.ask('SELECT', database)
    const reply = await client.ask('GET', name)
    assert.equal(reply.kind === 'text' && reply.text, String(count), `${name} at the new primary`)
  }
  const sorted = stalls.toSorted((one, other) => one - other)
  context.diagnostic(
    `longest wait of any client, ms: least ${sorted[0]?.toFixed(1)} p50 ${median(stalls).toFixed(1)} ` +
      `max ${sorted.at(-1)?.toFixed(1)}; ` +
      `acknowledged + exchanged + released: ${steps.slice(-5).join(' ')}`,
  )
  assert.ok(median(stalls) < 250, `the median stall is ${median(stalls)} ms`)
}

test('clients that write notice no handover but a wait', (context) => handOverOften(context, {}))

test('nor do they where reads go to replicas', (context) =>
  handOverOften(context, { upstream: { reads: { policy: 'readsToReplicas' } } }))

test('clients of every kind go over: blocked, subscribed, in transactions, watching', async (context) => {
  const rig = await startHandoverRig(context, { limits: { clientsMax: 200 } })
  const fleet = await startFleet(rig.port)
  context.after(() => fleet.stop())
  const { members, audits } = fleet
  const isBroken = () => members.some(({ errors }) => errors.length > 0)
  const goOn = async () => {
    const before = members.map(({ doneCount }) => doneCount)
    const isOn = () => members.every(({ doneCount }, index) => doneCount > (before[index] ?? 0) + 1)
    await until('every client goes on', () => isOn() || isBroken(), 30_000)
  }
  await goOn()
  for (let round = 0; round < fleetHandovers && !isBroken(); round += 1) {
    await rig.handOver()
    await goOn()
  }
  await fleet.stop()
  assert.deepEqual(
    members.flatMap(({ errors }) => errors),
    [],
  )
  const server = new WireClient(rig.serving.port, () => {})
  context.after(() => server.close())
  const wrong = await Promise.all(audits.map((check) => check(server)))
  assert.deepEqual(
    wrong.filter((what) => what !== ''),
    [],
  )
})

test('a switch that is called off leaves clients where they were', async (context) => {
  const rig = await startHandoverRig(context)
  const client = new WireClient(rig.port, () => {})
  context.after(() => client.close())
  await client.ask('SELECT', '3')
  await client.ask('SET', 'a', '1')
  const before = await connectionsOf(rig)
  await rig.withdraw()
  const held = client.ask('INCR', 'a')
  await rig.name(rig.serving)
  assert.equal(numberOf(await held), 2)
  // More may have been on their way when it was looked.
  const after = await connectionsOf(rig)
  for (const id of before) assert.ok(after.includes(id), `connection ${id} was closed`)
})

test('one that is called off before it began is not obeyed', async (context) => {
  const rig = await startHandoverRig(context)
  const client = new WireClient(rig.port, () => {})
  context.after(() => client.close())
  await client.ask('INCR', 'a')
  const version = rig.announce()
  await rig.name(rig.serving)
  assert.equal(numberOf(await client.ask('INCR', 'a')), 2)
  const isAcked = rig.controlPlane.messages.some((one) => {
    return one.kind === 'ack' && one.version === version
  })
  assert.equal(isAcked, false, 'nobody may take it for held')
})

test('who is not told that all are ready begins all the same', async (context) => {
  const rig = await startHandoverRig(context)
  await rig.controlPlane.accepted(rig.announce())
})

test('from the acknowledgement on nothing reaches the old primary', async (context) => {
  const rig = await startHandoverRig(context)
  const clients = Array.from({ length: 8 }, () => new WireClient(rig.port, () => {}))
  for (const client of clients) context.after(() => client.close())
  for (const client of clients.slice(4)) await client.ask('SELECT', '1')
  for (const client of clients) await client.ask('INCR', 'n')
  await rig.withdraw()
  const calls = async () => textOf(await rig.admin(rig.serving).ask('INFO', 'commandstats'))
  const before = /^cmdstat_incr:\S+/m.exec(await calls())?.[0]
  const held = clients.map((client) => client.askAny('INCR', 'n'))
  const status = async () => JSON.parse((await rig.sidecar.get('/status')).body)
  await until('all are held', async () => (await status()).heldCommands === clients.length)
  assert.equal(/^cmdstat_incr:\S+/m.exec(await calls())?.[0], before)
  await rig.exchange()
  await rig.name(rig.following)
  assert.deepEqual((await Promise.all(held)).map(numberOf).toSorted(), [5, 5, 6, 6, 7, 7, 8, 8])
})

test('a withdrawal that is refused is not what a restart begins with', async (context) => {
  const rig = await startHandoverRig(context)
  const stored = () => readFileSync(join(rig.state, 'config.json'), 'utf8')
  const before = stored()
  rig.clientAuth = { users: [{ password: { file: join(rig.state, 'missing') } }] }
  await rig.withdraw()
  const ack = rig.controlPlane.messages.findLast(({ kind }) => kind === 'ack')
  assert.match(ack?.kind === 'ack' ? (ack.error ?? '') : '', /^RM_SECRET_UNREADABLE/)
  assert.equal(stored(), before)
})

test('what does not end in time is cut, and the acknowledgement comes after that', async (context) => {
  const rig = await startHandoverRig(context)
  const [slow, other] = [new WireClient(rig.port, () => {}), new WireClient(rig.port, () => {})]
  for (const client of [slow, other]) context.after(() => client.close())
  await other.ask('SET', 'a', '1')
  const waiting = slow.askAny('WAIT', '5', '0')
  await until('it waits', async () => {
    return /blocked_clients:1/.test(textOf(await rig.admin(rig.serving).ask('INFO', 'clients')))
  })
  await rig.handOver(200)
  const reply = await waiting
  assert.match(reply.kind === 'error' ? reply.text : reply.kind, /RM_UPSTREAM_LOST/)
  assert.equal(numberOf(await other.ask('INCR', 'a')), 2)
})

test('connections that were opened ahead are not used if the server is no primary', async (context) => {
  const rig = await startHandoverRig(context, { timing: { holdTimeoutMs: 500 } })
  const client = new WireClient(rig.port, () => {})
  context.after(() => client.close())
  await client.ask('SET', 'a', '1')
  await rig.withdraw()
  // Nobody promoted it, and yet it is named.
  await rig.name(rig.following)
  const reply = await client.askAny('SET', 'a', '2')
  assert.match(reply.kind === 'error' ? reply.text : reply.kind, /^PROXY RM_|RM_HOLD_TIMEOUT/)
  const got = await client.askAny('GET', 'a')
  assert.match(got.kind === 'error' ? got.text : got.kind, /^READONLY .*RM_HOLD_TIMEOUT/)
})

test('workers go over together', (context) =>
  handOverOften(context, { workers: 2 }, Math.min(handovers, 5)))

async function connectionsOf(rig: HandoverRig): Promise<readonly (string | undefined)[]> {
  const list = textOf(await rig.admin(rig.serving).ask('CLIENT', 'LIST', 'TYPE', 'normal'))
  return [...list.matchAll(/^id=(\d+)/gm)].map(([, id]) => id)
}
