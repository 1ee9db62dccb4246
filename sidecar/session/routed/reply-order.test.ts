import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { systemClock } from '../../../common/clock.ts'
import { defaultLimits, defaultTiming } from '../../../common/limits.ts'
import { silentLog } from '../../../common/log.ts'
import { ModelCluster, modelSlots } from '../../../test/support/model-cluster.ts'
// Has memory overwritten as soon as nobody should read it.
import { poisonedRequests } from '../../../test/support/poison.ts'
import { newCounters } from '../../data-plane.ts'
import { Turn } from '../../net/turn.ts'
import { encodeCommand } from '../../resp/encode.ts'
import { ReplyScanner } from '../../resp/reply-scanner.ts'
import { CommandRules } from '../../route/command-rules.ts'
import { RoutePlanner } from '../../route/plan.ts'
import type { SessionContext } from '../context.ts'
import { HoldQueue } from '../hold-queue.ts'
import { ServerQueue } from '../server-queue.ts'
import { Session } from '../session.ts'
import { Watchdog } from '../watchdog.ts'

const serverCount = 3

/** A client before a cluster in memory. */
class Rig {
  readonly turn = new Turn()
  readonly cluster: ModelCluster
  readonly counters = newCounters()
  readonly session: Session
  readonly replies: string[] = []
  /** How long nothing happened. */
  skippedMs = 0
  private readonly client: NodeJS.ReadWriteStream
  private readonly holds: HoldQueue
  private received = Buffer.alloc(0)
  private readonly scanner = new ReplyScanner({ allowsPushes: false, lineBytesMax: 1000 })

  constructor(clientOutputBytesMax: number, maxRetries = 1000, ownerCount = serverCount) {
    const [client, socket] = duplexPair()
    this.cluster = new ModelCluster(serverCount, this.turn, ownerCount)
    this.client = client
    this.holds = new HoldQueue(systemClock, () => 5000)
    const { cluster, counters, turn, holds } = this
    const context = {
      turn,
      clock: {
        ...systemClock,
        monotonicMs: () => systemClock.monotonicMs() + this.skippedMs,
      },
      // Nothing waits before it is sent again.
      random: () => 0,
      log: silentLog,
      counters,
      rules: new CommandRules(systemClock, () => undefined),
      holds,
      restores: { remove() {} },
      sessions: new Set(),
      queue: new ServerQueue(systemClock, () => 5000),
      watchdog: new Watchdog(systemClock, 1000),
      planner: new RoutePlanner(),
      primary: cluster.servers[0],
      backend: cluster.backend,
      limits: { ...defaultLimits, clientOutputBytesMax },
      timing: defaultTiming,
      upstream: { retries: { maxRetries, retryDelayMs: 1 } },
      authenticator: undefined,
      isPerClient: false,
      isPaused: false,
      isFinishing: false,
      hasPrimary: true,
    }
    const asSocket = socket as unknown as Socket
    this.session = new Session(asSocket, 1, context as unknown as SessionContext, () => {})
    this.session.window.size = 512
    client.on('data', (chunk: Buffer) => this.receive(chunk))
  }

  private receive(chunk: Buffer): void {
    let at = this.received.length
    this.received = Buffer.concat([this.received, chunk])
    while (at < this.received.length) {
      assert.ok(this.scanner.scan(this.received, at, this.received.length, 1))
      at = this.scanner.position
      if (this.scanner.count === 0) return
      this.replies.push(this.received.toString('latin1', 0, at))
      this.received = this.received.subarray(at)
      at = 0
    }
  }

  send(bytes: Buffer): void {
    this.client.write(bytes)
  }

  release(): void {
    this.holds.releaseAll()
  }

  stop(): void {
    this.session.destroy()
    this.holds.stop()
  }
}

const keys = Array.from({ length: 8 }, (_, index) => `k${index}`)
const command = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), keys: fc.tuple(fc.constantFrom(...keys)) }),
  fc.record({ kind: fc.constant('get' as const), keys: fc.tuple(fc.constantFrom(...keys)) }),
  fc.record({
    kind: fc.constant('mget' as const),
    keys: fc.shuffledSubarray(keys, { minLength: 1 }),
  }),
)
const event = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      commands: fc.array(command, { minLength: 1, maxLength: 12, size: 'max' }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('work' as const), server: fc.nat(serverCount - 1) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      server: fc.nat(serverCount - 1),
      bytes: fc.constantFrom(1, 3, 7, 30, 1000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('move' as const),
      slot: fc.nat(modelSlots - 1),
      to: fc.nat(serverCount - 1),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('refuse' as const), server: fc.nat(serverCount - 1) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('break' as const), server: fc.nat(serverCount - 1) }),
  },
)
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

/** Of values, which come with others, in many chunks, or are more than is put together. */
const lengths = [0, 61, 0, 0, 700, 0, 0, 20_000]

const turnOver = () => new Promise((resolve) => setImmediate(resolve))

interface Sent {
  readonly command: Command
  readonly value: string
}

function apply(rig: Rig, event: Event, sent: Sent[]): void {
  const { servers } = rig.cluster
  switch (event.kind) {
    case 'send': {
      const frames = event.commands.map((command) => {
        const value = `v${sent.length}`.padEnd(lengths[sent.length % lengths.length] ?? 0, '-ASK ')
        sent.push({ command, value })
        const words = command.kind === 'set' ? [command.keys[0] as string, value] : command.keys
        return encodeCommand([command.kind.toUpperCase(), ...words])
      })
      return rig.send(Buffer.concat(frames))
    }
    case 'work':
      return servers[event.server]?.work()
    case 'say':
      return servers[event.server]?.say(event.bytes)
    case 'move':
      return rig.cluster.move(event.slot, event.to)
    case 'refuse':
      if (servers[event.server] !== undefined) servers[event.server]!.refusals = 3
      return
    case 'break':
      servers[event.server]?.break()
      return
    default:
      event satisfies never
  }
}

/** What the client may believe of each key. */
class Model {
  private readonly values = new Map<string, Set<string>>()
  losses = 0

  check({ command, value }: Sent, reply: string): void {
    const isLost = reply.startsWith('-PROXY RM_UPSTREAM_LOST')
    const isError = reply.startsWith('-')
    if (isLost) this.losses += 1
    else if (isError) assert.match(reply, /^-(CLUSTERDOWN|TRYAGAIN) /)
    if (command.kind === 'set') {
      const key = command.keys[0] as string
      if (!isError) {
        assert.equal(reply, '+OK\r\n')
        this.values.set(key, new Set([value]))
      } else if (isLost) this.of(key).add(value)
      return
    }
    if (isError) return
    const found = [...reply.matchAll(/\$(-1|\d+\r\n([^\r]*))\r\n/g)].map((match) => match[2] ?? '')
    assert.equal(found.length, command.keys.length, reply)
    for (const [index, key] of command.keys.entries()) {
      const seen = found[index] as string
      assert.ok(this.of(key).has(seen), `${key} is ${seen}, not ${[...this.of(key)].join(' or ')}`)
      this.values.set(key, new Set([seen]))
    }
  }

  private of(key: string): Set<string> {
    const values = this.values.get(key) ?? new Set([''])
    this.values.set(key, values)
    return values
  }
}

async function play(
  events: readonly Event[],
  outputBytesMax: number,
  ownerCount: number,
): Promise<Rig> {
  const rig = new Rig(outputBytesMax, 1000, ownerCount)
  const sent: Sent[] = []
  for (const event of events) {
    apply(rig, event, sent)
    if (event.kind !== 'send') await turnOver()
  }
  for (let round = 0; rig.replies.length < sent.length && !rig.session.isClosed; round += 1) {
    assert.ok(round < 3000, `${rig.replies.length} of ${sent.length} replies came`)
    for (const server of rig.cluster.servers) {
      server.connect()
      server.work()
      server.say(1000)
    }
    for (const [slot, { target }] of rig.cluster.slots.entries()) {
      if (target !== undefined) rig.cluster.move(slot, target)
    }
    rig.release()
    await turnOver()
  }
  const model = new Model()
  for (const [index, reply] of rig.replies.entries()) model.check(sent[index] as Sent, reply)
  if (!rig.session.isClosed) {
    assert.equal(rig.replies.length, sent.length)
    await turnOver()
    assert.equal(rig.session.inFlight, 0)
    assert.equal(rig.session.order?.heldBytes ?? 0, 0)
    assert.equal(rig.session.order?.awaited ?? 0, 0)
    // Of a command that was split each part counts.
    assert.ok(rig.counters.commandsLost >= model.losses)
  }
  rig.stop()
  return rig
}

test('each command gets one reply, in order, and sees those before it, whatever happens to servers', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { maxLength: 120, size: 'max' }),
      fc.constantFrom(20, 1_000_000),
      // Where one has all slots at first, commands go to it unseen until some move.
      fc.constantFrom(1, serverCount),
      async (events, outputBytesMax, ownerCount) => {
        await play(events, outputBytesMax, ownerCount)
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 150) },
  )
})

async function settled(rig: Rig, replyCount: number): Promise<void> {
  for (let round = 0; rig.replies.length < replyCount; round += 1) {
    assert.ok(round < 2000, 'no reply came')
    for (const server of rig.cluster.servers) {
      server.work()
      server.say(1000)
    }
    await turnOver()
  }
}

const redirected = /^-PROXY RM_REDIRECTS /
const hostile: readonly (readonly [string, readonly (string | undefined)[], RegExp])[] = [
  ['send each other round', ['-MOVED 0 model:2\r\n', '-MOVED 0 model:1\r\n'], redirected],
  ['ask each other round', ['-ASK 0 model:2\r\n', '-ASK 0 model:1\r\n'], redirected],
  ['name an unknown address', ['-MOVED 0 evil:6379\r\n'], redirected],
  ['name no address', ['-MOVED 0 model\r\n'], redirected],
  ['never serve the slot', ['-CLUSTERDOWN Hash slot not served\r\n'], /^-CLUSTERDOWN Hash/],
  [
    'always have the keys apart',
    ['-TRYAGAIN Multiple keys request during rehashing of slot\r\n'],
    /^-TRYAGAIN Multiple keys/,
  ],
]
for (const [what, said, expected] of hostile) {
  test(`servers that ${what} cost an error, and a bounded number of attempts`, async () => {
    const rig = new Rig(1_000_000, 5)
    for (const [at, text] of said.entries()) {
      const server = rig.cluster.servers[at]
      if (server !== undefined) server.said = text
    }
    rig.send(Buffer.concat([encodeCommand(['GET', 'k0']), encodeCommand(['GET', 'k2'])]))
    await settled(rig, 2)
    assert.match(rig.replies[0] as string, expected)
    assert.equal(rig.replies[1], '$-1\r\n', 'another server’s key')
    assert.equal(rig.counters.commandsSentAgain, 5)
    rig.stop()
  })
}

test('a command that was sent elsewhere once is not late for having waited for its neighbour', async () => {
  const rig = new Rig(1_000_000)
  const [first] = rig.cluster.servers
  for (const _step of ['begin', 'end']) rig.cluster.move(0, 1)
  rig.send(encodeCommand(['MGET', 'k0', 'k2']))
  for (let round = 0; rig.counters.refusedMoved === 0; round += 1) {
    assert.ok(round < 2000, 'it was not refused')
    await turnOver()
    first?.work()
    first?.say(1000)
  }
  rig.skippedMs = 2 * defaultTiming.holdTimeoutMs
  await settled(rig, 1)
  assert.deepEqual(rig.replies, ['*2\r\n$-1\r\n$-1\r\n'])
  rig.stop()
})

test('replies may be cut anywhere, and look like refusals where they are cut', async () => {
  const value = '-ASK 0 model:2'
  const said = `$${value.length}\r\n${value}\r\n`
  const names = ['k0', 'k4', 'k0', 'k1', 'k0']
  const length = 3 * said.length + '-ASK 0 model:2\r\n'.length
  // In two pieces, and in pieces of one size.
  const sizes = Array.from({ length }, (_, at) => [at + 1, length])
  for (let size = 1; size <= 24; size += 1) sizes.push([size])
  for (const [first = 1, rest = first] of sizes) {
    const rig = new Rig(1_000_000)
    const [server] = rig.cluster.servers
    // The one key is there, the other may be where the slot goes.
    server?.data.set('k0', value)
    rig.cluster.move(0, 1)
    rig.send(Buffer.concat(names.map((name) => encodeCommand(['GET', name]))))
    await turnOver()
    await turnOver()
    for (const one of rig.cluster.servers) one.work()
    server?.say(first)
    await turnOver()
    for (let at = first; at < length; at += rest) {
      server?.say(rest)
      await turnOver()
    }
    await settled(rig, names.length)
    assert.deepEqual(rig.replies, [said, '$-1\r\n', said, '$-1\r\n', said], `${first}, ${rest}`)
    rig.stop()
  }
})

test('errors that are no refusals are the client’s, wherever they stand', async () => {
  const rig = new Rig(1_000_000)
  const [server] = rig.cluster.servers
  if (server !== undefined) server.said = '-MOVEDNOT 1\r\n'
  rig.send(encodeCommand(['GET', 'k0']))
  await settled(rig, 1)
  if (server !== undefined) server.said = '+-MOVED 1 model:2\r\n'
  rig.send(encodeCommand(['GET', 'k0']))
  await settled(rig, 2)
  assert.deepEqual(rig.replies, ['-MOVEDNOT 1\r\n', '+-MOVED 1 model:2\r\n'])
  rig.stop()
})

test('memory of requests was used again', () => {
  assert.ok(poisonedRequests.count > 0)
})

test('what a server says to ASKING is for nobody, and holds up no one', async () => {
  const rig = new Rig(1_000_000, 5)
  for (const server of rig.cluster.servers) {
    server.said = '-ASK 0 model:2\r\n'
    server.saidToAsking = '-CLUSTERDOWN The cluster is down\r\n'
  }
  rig.send(encodeCommand(['GET', 'k0']))
  await settled(rig, 1)
  assert.match(rig.replies[0] as string, redirected)
  assert.equal(rig.session.order?.recovery.isOn, false)
  rig.stop()
})
