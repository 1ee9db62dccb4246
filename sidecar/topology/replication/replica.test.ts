/** A primary and a replica with writes, questions and answers under way, in any order that a network allows. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { PrimaryHistory } from './primary-history.ts'
import { type Question, Replica } from './replica.ts'

const bounds = { lagMsMax: 50, lagBytesMax: 1000 }

/** One process with its data; `epoch` tells histories of writes apart. */
interface Process {
  epoch: number
  offset: number
}

class World {
  nowMs = 0
  primary: Process = { epoch: 1, offset: 10 }
  follower: Process = { epoch: 0, offset: 0 }
  readonly history = new PrimaryHistory()
  readonly server = { view: 'ok', isStalled: false }
  readonly replica = new Replica(
    { host: 'h', port: 1 },
    this.server as unknown as ServerConnections,
  )
  /** What the client was told last. */
  told: Process | undefined
  toldAtMs = Number.NEGATIVE_INFINITY
  /** Writes that were run and not answered yet. */
  private readonly acks: Process[] = []
  /** A question to the primary, and its answer once it was run. */
  private asking: { readonly atMs: number; answer?: Process } | undefined
  private asked: { readonly question: Question; answer?: Process } | undefined

  readonly events: Readonly<Record<string, () => void>> = {
    write: () => {
      this.primary.offset += 7
      this.acks.push({ ...this.primary })
    },
    ack: () => {
      const told = this.acks.shift()
      if (told === undefined) return
      this.told = told
      this.toldAtMs = this.nowMs
    },
    askPrimary: () => {
      this.asking ??= { atMs: this.nowMs }
    },
    runPrimary: () => {
      if (this.asking && !this.asking.answer) this.asking.answer = { ...this.primary }
    },
    hearPrimary: () => {
      const { asking } = this
      if (asking?.answer === undefined) return
      this.asking = undefined
      this.history.note(asking.atMs, String(asking.answer.epoch), asking.answer.offset)
      this.judge()
    },
    askReplica: () => {
      this.asked ??= { question: this.replica.asked(this.nowMs) }
    },
    runReplica: () => {
      if (this.asked && !this.asked.answer) this.asked.answer = { ...this.follower }
    },
    hearReplica: () => {
      const { asked } = this
      if (asked?.answer === undefined) return
      this.asked = undefined
      const learnt = { role: 'replica', isLinkUp: true, isSyncing: false } as const
      const { epoch, offset } = asked.answer
      const answer = { learnt: { ...learnt, lineage: String(epoch), offset }, atMs: this.nowMs }
      this.replica.answered(asked.question, answer, this.history)
      this.judge()
    },
    apply: () => {
      const { primary, follower } = this
      if (follower.epoch !== primary.epoch) return
      follower.offset += Math.ceil((primary.offset - follower.offset) / 2)
    },
    sync: () => {
      this.follower = { ...this.primary }
    },
    /** It starts with the data of earlier; the connections end, the answer on its way may still be there. */
    restartReplica: () => {
      this.follower = { epoch: this.follower.epoch, offset: Math.floor(this.follower.offset / 2) }
      this.replica.forget()
    },
    /** Another takes over with all data, and its connections are new. */
    failover: () => {
      this.primary = { epoch: this.primary.epoch + 1, offset: this.primary.offset }
      this.acks.length = 0
      this.asking = undefined
      this.told = undefined
      this.toldAtMs = Number.NEGATIVE_INFINITY
      this.history.forget()
      this.judge()
    },
  }

  judge(): void {
    this.replica.judge({ isUp: true, last: this.history.last }, bounds)
  }

  /** Whether the client reads from the replica now; if so, it must find what it was told. */
  read(): boolean {
    if (!this.replica.serves(this.nowMs, this.toldAtMs)) return false
    const { told, follower } = this
    if (told !== undefined) {
      assert.ok(
        follower.epoch === told.epoch && follower.offset >= told.offset,
        `told ${told.epoch}:${told.offset}, the replica has ${follower.epoch}:${follower.offset}`,
      )
    }
    return true
  }
}

test('a client is never given a replica that lacks a write that it was told of', () => {
  let reads = 0
  const names = Object.keys(new World().events)
  const frequent = names.filter((name) => !['failover', 'restartReplica'].includes(name))
  const step = fc.tuple(
    fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom(...frequent) },
      { weight: 1, arbitrary: fc.constantFrom('failover', 'restartReplica') },
    ),
    fc.constantFrom(0, 0, 0, 1, 5),
  )
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 300, size: 'max' }), (steps) => {
      const world = new World()
      for (const [name, ms] of steps) {
        world.events[name]?.()
        world.nowMs += ms
        if (world.read()) reads += 1
      }
    }),
    { numRuns: 1500 },
  )
  // It must not be safe because nothing is ever read.
  assert.ok(reads > 1000, `${reads} reads`)
})

test('a replica is read from as soon as it is known to have what the client wrote', () => {
  const world = new World()
  const { events } = world
  const round = (...names: string[]) => {
    for (const name of names) events[name]?.()
    world.nowMs += 1
  }
  const asks = ['askPrimary', 'runPrimary', 'hearPrimary', 'apply', 'apply', 'apply', 'apply']
  const learns = ['askReplica', 'runReplica', 'hearReplica']
  round('sync', ...asks, ...learns)
  assert.equal(world.read(), true)
  world.nowMs += 1
  round('write', 'ack')
  assert.equal(world.read(), false)
  round(...asks, ...learns)
  assert.equal(world.read(), true)
})

test('a replica that is behind by more than the bound gets no reads, and again when it has caught up', () => {
  const world = new World()
  const { events } = world
  const look = () => {
    for (const name of ['askPrimary', 'runPrimary', 'hearPrimary']) events[name]?.()
    for (const name of ['askReplica', 'runReplica', 'hearReplica']) events[name]?.()
  }
  events.sync?.()
  look()
  world.nowMs += bounds.lagMsMax - 1
  events.write?.()
  look()
  assert.equal(world.read(), true)
  world.nowMs += 2
  look()
  assert.equal(world.read(), false)
  assert.equal(world.replica.verdict.reason, 'lagSeconds')
  events.sync?.()
  look()
  assert.equal(world.read(), true)
})
