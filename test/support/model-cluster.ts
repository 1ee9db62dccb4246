/**
 * A cluster in memory with lanes like those to real servers: slots that move, connections that end, replies that come
 * in any pieces. What happens next is decided by the numbers that it is given.
 */
import type { Backend, Shard } from '../../sidecar/route/backend.ts'
import type { Turn } from '../../sidecar/net/turn.ts'
import { readBuffer } from '../../sidecar/net/turn-memory.ts'
import type { UpstreamConnection } from '../../sidecar/upstream/connection.ts'
import { QueueBounds } from '../../sidecar/upstream/queue-bounds.ts'
import type { ServerConnections } from '../../sidecar/upstream/server-connections.ts'
import { SharedLane } from '../../sidecar/upstream/shared-lane.ts'
import { defaultLimits } from '../../common/limits.ts'
import { frameArguments } from '../../sidecar/resp/arguments.ts'
import { RequestScanner, ScanStop } from '../../sidecar/resp/request-scanner.ts'
import { poison } from './poison.ts'

export const modelSlots = 4

/** Who has a slot, and who is being given it. */
interface Slot {
  owner: number
  target: number | undefined
}

export class ModelServer {
  readonly index: number
  readonly data = new Map<string, string>()
  readonly sharedLane: SharedLane
  readonly address: string
  /** Refuses so many of the commands that come next. */
  refusals = 0
  /** What it says to every command but ASKING; undefined: it runs them. */
  said: string | undefined
  saidToAsking = '+OK\r\n'
  isStalled = false
  readonly bounds = new QueueBounds()
  readonly prefersOwn = false
  readonly writePause = { isOn: false }
  readonly view = 'ok'
  private readonly cluster: ModelCluster
  private owner: { onData(bytes: Buffer): void; onClosed(): void } | undefined
  private received = Buffer.alloc(0)
  private replies = Buffer.alloc(0)
  private isAsking = false
  private isPaused = false

  constructor(cluster: ModelCluster, index: number, turn: Turn) {
    this.cluster = cluster
    this.index = index
    this.address = `model:${index + 1}`
    const { bounds } = this
    bounds.use(defaultLimits as never, 1)
    const options = { protocol: 2, bounds, onLost() {}, onReadOnly() {}, onRetire: () => false }
    this.sharedLane = new SharedLane(options as never, turn)
    this.connect()
  }

  get isReady(): boolean {
    return this.sharedLane.isReady
  }

  lane(): SharedLane {
    return this.sharedLane
  }

  scriptLane(): SharedLane {
    return this.sharedLane
  }

  connect(): void {
    if (this.sharedLane.isReady) return
    this.received = Buffer.alloc(0)
    this.replies = Buffer.alloc(0)
    this.isAsking = false
    this.isPaused = false
    const socket = {
      pause: () => {
        this.isPaused = true
      },
      resume: () => {
        this.isPaused = false
      },
    }
    const connection = {
      socket,
      writer: {
        isFull: false,
        backlogBytes: 0,
        write: (bytes: Buffer) => {
          this.received = Buffer.concat([this.received, bytes])
          return true
        },
      },
      setOwner: (owner: ModelServer['owner']) => {
        this.owner = owner
      },
      readInPlace() {},
      countWritten() {},
      mayWrite: () => true,
      destroy() {},
    }
    this.sharedLane.attach(connection as unknown as UpstreamConnection)
  }

  /** Runs what it received up to now. */
  work(): void {
    const scanner = new RequestScanner(new Uint8Array(16_384), {
      argumentCountMax: 1000,
      argumentBytesMax: 100_000,
      excess: 'invalid',
    })
    let at = 0
    while (at < this.received.length) {
      if (scanner.scan(this.received, at, this.received.length, 1) !== ScanStop.limit) {
        if (scanner.count !== 1) break
      }
      const words = frameArguments(this.received, at, 1000).map((word) => word.toString('latin1'))
      at = scanner.position
      this.replies = Buffer.concat([this.replies, Buffer.from(this.run(words), 'latin1')])
    }
    this.received = this.received.subarray(at)
  }

  /** Sends at most so many bytes of its replies, in memory that is lent for the time of this call. */
  say(byteCount: number): void {
    const bytes = this.replies.subarray(0, byteCount)
    if (bytes.length === 0 || this.isPaused) return
    this.replies = this.replies.subarray(bytes.length)
    const lent = readBuffer.subarray(0, bytes.length)
    lent.set(bytes)
    this.owner?.onData(lent)
    lent.fill(poison)
  }

  /** Its connection ends; what it did not run is never run. */
  break(): void {
    this.owner?.onClosed()
  }

  private run([name = '', ...rest]: readonly string[]): string {
    const isAsking = this.isAsking
    this.isAsking = name === 'ASKING'
    if (this.isAsking) return this.saidToAsking
    if (this.said !== undefined) return this.said
    if (this.refusals > 0) {
      this.refusals -= 1
      return '-CLUSTERDOWN The cluster is down\r\n'
    }
    const keys = rest.filter((_, index) => name === 'MGET' || name === 'GET' || index % 2 === 0)
    const refusal = this.refusal(keys, isAsking)
    if (refusal !== undefined) return refusal
    if (name === 'GET') return bulk(this.data.get(keys[0] ?? ''))
    if (name === 'MGET') {
      return `*${keys.length}\r\n${keys.map((key) => bulk(this.data.get(key))).join('')}`
    }
    for (const [index, key] of keys.entries()) this.data.set(key, rest[2 * index + 1] ?? '')
    return '+OK\r\n'
  }

  private refusal(keys: readonly string[], isAsking: boolean): string | undefined {
    const number = slotOf(keys[0] ?? '')
    const slot = this.cluster.slots[number] as Slot
    const missing = keys.filter((key) => !this.data.has(key)).length
    const to = (server: number) => `${number} model:${server + 1}\r\n`
    if (slot.owner === this.index) {
      if (slot.target === undefined || missing === 0) return undefined
      return missing === keys.length ? `-ASK ${to(slot.target)}` : tryAgain
    }
    if (slot.target === this.index && isAsking) {
      return keys.length > 1 && missing > 0 ? tryAgain : undefined
    }
    return `-MOVED ${to(slot.owner)}`
  }
}

const tryAgain = '-TRYAGAIN Multiple keys request during rehashing of slot\r\n'

function bulk(value: string | undefined): string {
  return value === undefined ? '$-1\r\n' : `$${value.length}\r\n${value}\r\n`
}

/** By the last character of a key. */
export function slotOf(key: string): number {
  return key.charCodeAt(key.length - 1) % modelSlots
}

export class ModelCluster {
  readonly servers: readonly ModelServer[]
  readonly slots: Slot[]
  readonly backend: ModelBackend

  /** Slots belong to the first `ownerCount` servers at first. */
  constructor(serverCount: number, turn: Turn, ownerCount = serverCount) {
    this.slots = Array.from({ length: modelSlots }, (_, slot) => ({
      owner: slot % ownerCount,
      target: undefined,
    }))
    this.servers = Array.from({ length: serverCount }, (_, at) => new ModelServer(this, at, turn))
    this.backend = new ModelBackend(this)
  }

  /** One step of a move of `slot`: begins, moves a key, or ends. */
  move(slot: number, to: number): void {
    const state = this.slots[slot] as Slot
    const from = this.servers[state.owner] as ModelServer
    if (state.target === undefined) {
      if (to !== state.owner) state.target = to
      return
    }
    const target = this.servers[state.target] as ModelServer
    const [key] = [...from.data.keys()].filter((one) => slotOf(one) === slot)
    if (key === undefined) {
      state.owner = state.target
      state.target = undefined
      return
    }
    target.data.set(key, from.data.get(key) ?? '')
    from.data.delete(key)
  }
}

class ModelBackend implements Backend {
  readonly kind = 'cluster'
  version = 0
  readonly splitsReads = false
  readonly shards: readonly Shard[]
  /** Who it believes has a slot. */
  private readonly known: number[]
  private readonly cluster: ModelCluster

  constructor(cluster: ModelCluster) {
    this.cluster = cluster
    this.known = cluster.slots.map(({ owner }) => owner)
    this.shards = cluster.servers.map((server) => ({
      id: server.address,
      primary: server as unknown as ServerConnections,
      reader: () => undefined,
    }))
  }

  hashOf(bytes: Buffer, start: number, end: number): number {
    return slotOf(bytes.toString('latin1', start, end))
  }

  isTogether(hash: number, other: number): boolean {
    return hash === other
  }

  get soleShard(): Shard | undefined {
    const [first = -1] = this.known
    return this.known.every((owner) => owner === first) ? this.shards[first] : undefined
  }

  shardOf(hash: number): Shard | undefined {
    return this.shards[this.known[hash] ?? -1]
  }

  anyShard(seed: number): Shard | undefined {
    return this.shards[seed % this.shards.length]
  }

  onMoved(slot: number, address: { readonly port: number }): ServerConnections | undefined {
    if (this.known[slot] !== address.port - 1) {
      this.known[slot] = address.port - 1
      this.version += 1
    }
    return this.onAsk(address)
  }

  onAsk({ port }: { readonly port: number }): ServerConnections | undefined {
    return this.shards[port - 1]?.primary
  }

  lookAgain(): void {
    for (const [slot, { owner }] of this.cluster.slots.entries()) this.known[slot] = owner
    this.version += 1
  }
}
