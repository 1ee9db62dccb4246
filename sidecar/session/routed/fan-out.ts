/** Commands that concern several shards: one part for each, sent when all of them can be. */
import type { Shard } from '../../route/backend.ts'
import { scanReply, invalidCursorError, planScan } from '../../route/scan.ts'
import { keyOrder, splitCommand } from '../../route/split.ts'
import type { RouteKind } from '../../route/plan.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import { ownReplies } from '../own-replies.ts'
import type { Run } from './dispatch.ts'
import { Joint, type Merge, mergeBy } from './joint.ts'
import { Leg, type LegKind, plainKind, readerKind } from './leg.ts'
import type { Way } from './way.ts'

interface Part {
  readonly server: ServerConnections
  readonly bytes: Buffer
  readonly count: number
  readonly kind: LegKind
}

interface Several {
  /** Undefined: nobody is known who could take one of them. */
  readonly parts: readonly Part[] | undefined
  readonly merge: Merge
}

const invalidCursor = Buffer.from(invalidCursorError)

/** Sends the command that was planned last, which ends at `end`. False when it has to wait. */
export function sendSeveral(run: Run, kind: RouteKind, end: number): boolean {
  const several = severalOf(run, kind)
  if (Buffer.isBuffer(several)) {
    run.answer(several, 1, end)
    return true
  }
  const { parts, merge } = several
  if (parts === undefined || parts.length === 0) {
    run.backend.lookAgain()
    return run.stop('notReady', undefined, { count: 1, end })
  }
  const ways: Way[] = []
  for (const { server, kind } of parts) {
    const way = run.wayTo(server, kind)
    if (typeof way === 'string') return run.stop(way, server, { count: 1, end })
    ways.push(way)
  }
  const joint = new Joint(run.order, merge)
  const legs = parts.map(({ bytes, count, kind }) => {
    const leg = new Leg(joint, { bytes, start: 0, end: bytes.length }, count, kind)
    joint.add(leg)
    return leg
  })
  run.order.push(joint.place)
  run.noteTaken(1, end)
  for (const [index, leg] of legs.entries()) ways[index]?.send(leg)
  return true
}

/** Its parts, or what to answer instead. */
function severalOf(run: Run, kind: RouteKind): Several | Buffer {
  const { planner, backend, session } = run
  const { traits, frame } = planner
  if (traits === undefined) return ownReplies.unmerged
  if (kind === 'split') return splitParts(run)
  if (kind === 'scan' && backend.shards.length > 1) return scanPart(run)
  const bytes = Buffer.from(frame.bytes.subarray(frame.start, frame.end))
  const pick = Math.floor(session.context.random() * 2 ** 31)
  const parts = backend.shards.map((shard) => {
    const legKind = { ...run.kindOf(kind), isReader: false, onlyShard: shard }
    return { server: shard.primary, bytes, count: 1, kind: legKind }
  })
  const isOne = parts.length === 1
  return { parts, merge: isOne ? ([reply]) => reply : mergeBy(traits.merge, { pick }) }
}

function splitParts(run: Run): Several {
  const { planner, backend } = run
  const { traits, frame } = planner
  if (traits === undefined) return { parts: undefined, merge: () => undefined }
  const split = splitCommand(frame, traits, backend)
  const merge = mergeBy(traits.merge, { keyOrder: keyOrder(split) })
  const legKind = run.kindOf('split')
  const parts: Part[] = []
  for (const { shard, bytes, commands } of split) {
    if (shard === undefined) return { parts: undefined, merge }
    const server = legKind === readerKind ? readerOf(run, shard, commands) : shard.primary
    const isReader = server !== shard.primary
    const kind = legKind === readerKind && !isReader ? plainKind : legKind
    parts.push({ server, bytes, count: commands.length, kind })
  }
  return { parts, merge }
}

/** The primary if one of them is about a slot that only it knows the way of. */
function readerOf(
  run: Run,
  shard: Shard,
  commands: readonly { readonly hash: number }[],
): ServerConnections {
  const moving = commands.find(({ hash }) => run.backend.isMoving?.(hash) === true)
  return run.readerOf(shard, (moving ?? commands[0])?.hash ?? -1)
}

function scanPart({ planner, backend }: Run): Several | Buffer {
  const count = backend.shards.length
  const place = planScan(planner.frame, count)
  if (place === undefined) return invalidCursor
  const shard = backend.shards[place.shard]
  if (shard === undefined) return invalidCursor
  const kind = { ...plainKind, onlyShard: shard }
  return {
    parts: [{ server: shard.primary, bytes: place.bytes, count: 1, kind }],
    merge: ([reply]) => reply && scanReply(reply, place.shard, count),
  }
}
