/**
 * Which commands must not be sent again because a later one of the same client, about the same key, was run before
 * them: sent now, they would undo it. Servers leave their errors to such a client, and so do we.
 */
import type { KeyPlaces, RoutePlanner } from '../../route/plan.ts'
import type { Leg, LegOwner } from './leg.ts'

/** `legs`: all that have not been given to the client, in order; each is either `refused` or was run. */
export function overtaken(
  legs: readonly Leg[],
  planner: RoutePlanner,
  places: KeyPlaces,
): ReadonlySet<Leg> {
  const found = new Set<Leg>()
  const run = new Effects()
  /** Parts of one command that all shards are asked: none is later than another. */
  let parts: LegOwner | undefined
  let effectsOfParts: Command[] = []
  for (const leg of legs.toReversed()) {
    const owner = leg.kind.onlyShard === undefined ? undefined : leg.owner
    if (owner !== parts) {
      for (const command of effectsOfParts) run.add(command)
      effectsOfParts = []
      parts = owner
    }
    for (const command of commandsOf(leg, planner, places).toReversed()) {
      if (leg.state === 'refused') {
        if (run.touches(command)) found.add(leg)
      } else if (owner === undefined) run.add(command)
      else effectsOfParts.push(command)
    }
  }
  return found
}

interface Command {
  readonly isReadOnly: boolean
  /** Undefined: any key may be meant. */
  readonly keys: readonly string[] | undefined
}

class Effects {
  private readonly read = new Set<string>()
  private readonly written = new Set<string>()
  private isAnyRead = false
  private isAnyWritten = false

  add({ isReadOnly, keys }: Command): void {
    if (keys === undefined) {
      if (isReadOnly) this.isAnyRead = true
      else this.isAnyWritten = true
      return
    }
    for (const key of keys) (isReadOnly ? this.read : this.written).add(key)
  }

  touches({ isReadOnly, keys }: Command): boolean {
    if (this.isAnyWritten || (!isReadOnly && this.isAnyRead)) return true
    if (keys === undefined) return this.written.size > 0 || (!isReadOnly && this.read.size > 0)
    return keys.some((key) => this.written.has(key) || (!isReadOnly && this.read.has(key)))
  }
}

function commandsOf(leg: Leg, planner: RoutePlanner, places: KeyPlaces): Command[] {
  const commands: Command[] = []
  for (let at = leg.start; at < leg.end; at = planner.frame.end) {
    const kind = planner.plan(places, leg.bytes, at, leg.end)
    const { frame, traits } = planner
    // What makes no sense was run by nobody, and what names no key changes none, unless it goes to all.
    const isHarmless = kind === 'anywhere' && traits !== undefined
    const isAny = kind !== 'shard' && kind !== 'split' && kind !== 'crossSlot'
    const keys = Array.from({ length: frame.keyCount }, (_, index) =>
      frame.bytes.toString('latin1', frame.keyStart(index), frame.keyEnd(index)),
    )
    if (isHarmless) commands.push({ isReadOnly: true, keys: [] })
    else commands.push({ isReadOnly: traits?.readsOnly === true, keys: isAny ? undefined : keys })
  }
  return commands
}
