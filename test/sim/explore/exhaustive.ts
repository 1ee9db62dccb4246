/**
 * Every interleaving of a small world up to a bound: from a world in order, each event that may happen is tried, and from
 * there each again; a state that was met before is not gone on from. Time passes in steps of its own.
 */
import { Random } from '../random.ts'
import { eventsOf } from './events.ts'
import { crash } from './faults.ts'
import { makeWorld, settleDown } from './history.ts'
import { cut, nodeOf } from './nodes.ts'
import { profileOf } from './profiles.ts'
import { emptyDisk, end, start } from './server.ts'
import { Violation, type World } from './types.ts'

export interface Scope {
  readonly name: string
  readonly servers: number
  /** What has just happened. */
  readonly begin: (world: World) => void
}

export interface Result {
  readonly states: number
  readonly steps: number
  readonly depth: number
  readonly isComplete: boolean
  readonly violation?: string
  readonly path: readonly string[]
}

const tickMs = 400

export const scopes: readonly Scope[] = [2, 3].flatMap((servers) => [
  {
    name: `${servers} servers, the primary crashes`,
    servers,
    begin: (world: World) => crashFirst(world, 'kept'),
  },
  { name: `${servers} servers, the primary comes back empty`, servers, begin: bounceEmpty },
  { name: `${servers} servers, the operator has lost the primary`, servers, begin: lose },
])

function first(world: World) {
  const [server] = world.servers
  if (server === undefined) throw new Error('a world without servers')
  return server
}

function crashFirst(world: World, keeps: 'kept' | 'empty'): void {
  crash(world, first(world), keeps)
}

function bounceEmpty(world: World): void {
  end(world, first(world), emptyDisk)
  start(world, first(world), undefined)
}

/** The operator cannot reach it, its replica neither; the sidecar can. */
function lose(world: World): void {
  for (const node of [1, 2, nodeOf.operator(world, 0)]) {
    if (node === nodeOf.sidecar(world, 0)) continue
    cut(world, 0, node, 'silent')
    cut(world, node, 0, 'silent')
  }
}

/** Those that matter: what only repeats, and what a history has besides, would hide them in their number. */
const kinds =
  /^(o\d (idle|observed|planned|recorded|published|acting|probes|watches)$|command|p\d (opens|hears|connects|sends)|o\d hears|w\d+ |s\d+ (starts|has loaded|replicates))/

function choices(world: World) {
  const inFlight = world.writes.length
  return eventsOf(world).filter(
    ({ name }) => kinds.test(name) && !(inFlight > 0 && name.endsWith('sends')),
  )
}

interface Node {
  readonly world: World
  readonly depth: number
  readonly from: Node | undefined
  readonly event: string
}

/** Breadth first, so that what is found is short. */
export function exhaust(scope: Scope, statesMax: number): Result {
  const world = begin(scope)
  const queue: Node[] = [{ world, depth: 0, from: undefined, event: scope.name }]
  const met = new Set([digest(world)])
  let steps = 0
  let depth = 0
  for (let at = 0; at < queue.length; at += 1) {
    const node = queue[at] as Node
    depth = node.depth
    const count = choices(node.world).length + 1
    for (let index = 0; index < count; index += 1) {
      const next = copy(node.world)
      steps += 1
      const event = happen(next, index)
      if (typeof event !== 'string') {
        return {
          states: met.size,
          steps,
          depth,
          isComplete: false,
          violation: event.message,
          path: pathTo(node),
        }
      }
      const key = digest(next)
      if (met.has(key)) continue
      met.add(key)
      if (met.size >= statesMax)
        return { states: met.size, steps, depth, isComplete: false, path: [] }
      queue.push({ world: next, depth: node.depth + 1, from: node, event })
    }
    // What was gone on from is not needed any more but for the way here.
    if (at > 0) queue[at] = { ...node, world }
  }
  return { states: met.size, steps, depth, isComplete: true, path: [] }
}

function begin({ servers, begin: disturb }: Scope): World {
  const random = new Random(1)
  const drawn = profileOf(random, 'crashes')
  const profile = {
    ...drawn,
    servers,
    listed: servers,
    sidecars: 1,
    failover: 'downAfter: 500ms',
    hasDrift: false,
    keepsHistory: false,
    replicationWeight: 1,
    isCalm: true,
    tellsFate: true,
    restartsAs: ['parked'] as const,
  }
  const world = makeWorld(profile, random, [])
  settleDown(world, 60, true)
  world.faultsLeft = 0
  world.profile = { ...profile, isCalm: false }
  disturb(world)
  return world
}

function happen(world: World, index: number): string | Violation {
  const events = choices(world)
  const event = events[index]
  try {
    if (event === undefined) world.nowMs += tickMs
    else event.run(new Random(index))
    return event?.name ?? `${tickMs} ms pass`
  } catch (error) {
    if (error instanceof Violation) return error
    throw error
  }
}

function pathTo(node: Node): string[] {
  const names: string[] = []
  for (let at: Node | undefined = node; at !== undefined; at = at.from) names.unshift(at.event)
  return names
}

/** Values that never change are shared; what does is copied. */
export function copy(world: World): World {
  return {
    ...world,
    servers: world.servers.map((each) => ({
      ...each,
      process: each.process && { ...each.process },
    })),
    sidecars: world.sidecars.map((each) => ({ ...each })),
    operators: world.operators.map((each) => ({ ...each })),
    api: { ...world.api },
    cuts: world.cuts.slice(),
    truth: {
      ...world.truth,
      counts: { ...world.truth.counts, proofs: { ...world.truth.counts.proofs } },
    },
  }
}

const ids = /"(run|hist|pass|w)-?(\d+)"/g

/** Equal for worlds that differ only in what was counted and in the names that were given. */
function digest(world: World): string {
  const {
    truth,
    nextId: _next,
    profile: _profile,
    mutations: _mutations,
    trace: _trace,
    ...rest
  } = world
  const known = { ...truth, counts: undefined, acked: truth.acked.length }
  const names = new Map<string, number>()
  return JSON.stringify({ ...rest, known }, (key, value: unknown) =>
    key === 'lastTransitionTime' || key === 'spec' || key === 'plan' ? undefined : value,
  ).replace(ids, (id) => {
    const name = names.get(id) ?? names.size
    names.set(id, name)
    return `"${name}"`
  })
}
