/**
 * In a real cluster every command that is planned for the shard of a slot is served by the owner of that slot, what is
 * refused for its keys the servers refuse as well, and what is split would have been refused whole.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { keySlot, slotCount } from '../../../common/redis/slots.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { crossSlotError, RoutePlanner, type RouteKind } from '../../../sidecar/route/plan.ts'
import { splitCommand } from '../../../sidecar/route/split.ts'
import { keyed } from '../../fuzz/vocabulary.ts'
import { drawWords } from '../../fuzz/words.ts'
import { Random } from '../../sim/random.ts'
import { startCluster } from '../../support/cluster.ts'
import { type ServerProgram, seriesStates } from '../../support/server-versions.ts'
import { type Client, connect } from '../sidecar/harness.ts'

const seed = 1 + Math.floor(Date.now() % 1_000_000)
const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const perLine = isFull ? 40 : 3
/** Who are asked when time is short: where the keys of commands are found has not changed in between. */
const mostTelling = ['redis 7.0', 'redis 8.6', 'valkey 9']
const shardCount = 3
const tags = ['', '{a}', '{b}', '{c}', '{a}', '{a}']
const places = {
  kind: 'cluster' as const,
  hashOf: keySlot,
  isTogether: (hash: number, other: number) => hash === other,
  /** As the cluster of the tests divides its slots. */
  shardOf: (slot: number) => Math.floor((slot * shardCount) / slotCount),
}

/** One frame, to whom it is sent and what the reply must look like. */
interface Probe {
  readonly shard: number
  readonly bytes: Buffer
  readonly isRefused: boolean
}

for (const state of await seriesStates()) {
  if (!isFull && !mostTelling.includes(`${state.name} ${state.series}`)) continue
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  const name = `a cluster of ${state.name} ${state.series} serves what is planned (seed ${seed})`
  test(name, { skip }, async (t) => {
    assert.equal(state.kind, 'found')
    if (state.kind === 'found') await probeAll(t, state.program)
  })
}

async function probeAll(t: TestContext, program: ServerProgram): Promise<void> {
  const cluster = await startCluster({ primaries: shardCount, replicasPerPrimary: 0, program })
  t.after(() => cluster.stop())
  const clients = await Promise.all(cluster.nodes.map(({ port }) => connect(t, port)))
  const random = new Random(seed)
  const kinds = new Map<RouteKind, number>()
  const probes = keyed
    .flatMap((line) => Array.from({ length: perLine }, () => line))
    .flatMap((line) => {
      const words = drawWords(line, { random, prefix: '', tag: () => random.pick(tags) })
      const [kind, some] = probesOf(words, random)
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      return some
    })
  for (const { shard, bytes } of probes) clients[shard]?.send(bytes)
  for (const { shard, bytes, isRefused } of probes) {
    const reply = (await (clients[shard] as Client).replies(1))[0] ?? ''
    const said = `${JSON.stringify(bytes.toString('latin1'))} → ${reply.slice(0, 200)}`
    // What makes no sense is refused in any words, but never done.
    if (isRefused) assert.ok(reply === crossSlotError || reply.startsWith('-ERR '), said)
    else assert.doesNotMatch(reply, /^-(MOVED|CROSSSLOT|ASK|CLUSTERDOWN|TRYAGAIN)/, said)
  }
  for (const kind of ['shard', 'crossSlot', 'split'] as const) assert.ok(kinds.has(kind), kind)
}

const planner = new RoutePlanner()

function probesOf(
  words: readonly string[],
  random: Random,
): readonly [RouteKind, readonly Probe[]] {
  const bytes = encodeCommand(words)
  const kind = planner.plan(places, bytes, 0, bytes.length)
  const { traits, frame, hash } = planner
  const anyShard = random.below(shardCount)
  const shard = kind === 'shard' ? places.shardOf(hash) : anyShard
  const isRefused = kind === 'crossSlot' || kind === 'split'
  const probe = { shard, bytes, isRefused }
  if (kind !== 'split' || traits === undefined) return [kind, [probe]]
  const parts = splitCommand(frame, traits, places)
  const split = parts.flatMap((part) =>
    part.commands.map(({ start, end }) => ({
      shard: part.shard ?? 0,
      bytes: part.bytes.subarray(start, end),
      isRefused: false,
    })),
  )
  return [kind, [probe, ...split]]
}
