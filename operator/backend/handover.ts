/**
 * A planned change of the primary, server by server: writers of the old one are blocked, the target gets all it has and
 * is promoted, and the old one follows it. Until the target was told to take over everything can be called off; from
 * then on the old one takes no write before it is a replica. It is left blocked for the rest of the time rather than
 * let go where that is not certain.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../common/clock.ts'
import { UpstreamError } from '../../common/errors.ts'
import { handOverPollMs, handOverRetryMs, handOverTightMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { Source } from './backend.ts'
import type { Replication } from './info.ts'
import { type ServerProcess, follow, refusalOf, replicationOf } from './server-process.ts'

export interface HandoverOptions {
  readonly from: ServerProcess
  readonly to: ServerProcess
  /** How the old primary reaches the target. */
  readonly source: Source
  /** How long writers are blocked at most. */
  readonly timeoutMs: number
}

interface Modules {
  readonly clock: Clock
  readonly log?: Log
}

interface Held {
  /** `position` is where the target must get to; else wherever the old primary is by then. */
  readonly isPaused: boolean
  readonly position: Replication
}

/** @throws UpstreamError RM_HANDOVER_FAILED */
export async function handOver(options: HandoverOptions, modules: Modules): Promise<void> {
  const { from, to, timeoutMs } = options
  const { clock } = modules
  const before = await inspect(from, to)
  if (before.from.role === 'replica') return release(from)
  const beganMs = clock.monotonicMs()
  const endMs = beganMs + timeoutMs
  if (before.to.role === 'replica') {
    // A replica that was just made gets nothing for up to a second: nobody is blocked for that.
    const now = { isPaused: true, position: before.from }
    await caughtUp(options, now, { clock, untilMs: beganMs + timeoutMs / 4 }, before.to)
  }
  let held: Held | undefined
  try {
    const looking = replicationOf(to).catch(() => undefined)
    held = await hold(from, endMs - clock.monotonicMs(), modules)
    // What it had at the same time is mostly all there is.
    const seen = await looking
    if (before.to.role === 'primary') requireWhole(options, held.position, before.to)
    else await caughtUp(options, held, { clock, untilMs: beganMs + timeoutMs / 2 }, seen)
  } catch (error) {
    // It may have been paused although the answer is missing.
    if (held?.isPaused !== false) await release(from)
    throw error
  }
  if (before.to.role === 'replica') {
    const untilMs = beganMs + timeoutMs * 0.75
    await promote(options, { clock, untilMs, isPaused: held.isPaused })
  }
  await demote(options, { clock, untilMs: endMs })
  // It follows already, whoever hears of it first.
  if (held.isPaused) void release(from)
}

/** Nothing is touched where it cannot succeed. What an interrupted attempt began is gone on with. */
async function inspect(from: ServerProcess, to: ServerProcess) {
  const [old, next] = await Promise.all([replicationOf(from), replicationOf(to)])
  if (next.role === 'primary') {
    const isHeir = next.replId2 === old.replId || next.replId === old.replId
    if (isHeir) return { from: old, to: next }
    throw failed(`${to.address} is a primary with another history than ${from.address}`)
  }
  if (old.role === 'replica') throw failed(`${from.address} is no primary`)
  const obstacle = obstacleOf(next, old)
  if (obstacle !== undefined) throw failed(`${to.address} ${obstacle}`)
  return { from: old, to: next }
}

/** Why a replica has not, and is not about to have, what the primary has. */
function obstacleOf(replica: Replication, primary: Replication): string | undefined {
  if (!replica.isLinkUp) return 'has lost the connection to its primary'
  if (replica.isSyncing) return 'is being synchronised'
  if (replica.replId !== primary.replId) return 'has another history than its primary'
  return undefined
}

/** Blocks writers and sees where that left them. Servers before 6.2 cannot, and some users may not. */
async function hold(from: ServerProcess, pauseMs: number, { log }: Modules): Promise<Held> {
  const pause = ['CLIENT', 'PAUSE', String(Math.ceil(pauseMs)), 'WRITE']
  // The server answers one after the other: the position is that of after the pause.
  const [paused, position] = await Promise.allSettled([from.call(...pause), replicationOf(from)])
  if (paused.status === 'rejected') {
    const refusal = refusalOf(paused.reason)
    if (refusal !== 'ERR' && refusal !== 'NOPERM') throw paused.reason
    const err: unknown = paused.reason
    log?.warn({ err, address: from.address }, 'server cannot pause writers; only proxies hold')
  }
  if (position.status === 'rejected') throw position.reason
  if (position.value.role !== 'primary') throw failed(`${from.address} is no primary any more`)
  return { isPaused: paused.status === 'fulfilled', position: position.value }
}

interface Bounds {
  readonly clock: Clock
  readonly untilMs: number
}

/** Waits until the target has all that the old primary has. `seen`: how it is, or was a moment ago. */
async function caughtUp(
  { from, to }: HandoverOptions,
  { isPaused, position }: Held,
  { clock, untilMs }: Bounds,
  seen?: Replication,
): Promise<void> {
  const tightUntilMs = clock.monotonicMs() + handOverTightMs
  let known = seen
  for (;;) {
    const [old, next] = await Promise.all([
      isPaused ? position : replicationOf(from),
      known ?? replicationOf(to),
    ])
    known = undefined
    const obstacle = next.role === 'primary' ? 'is a primary already' : obstacleOf(next, old)
    const lag = old.offset - next.offset
    const nowMs = clock.monotonicMs()
    if (nowMs >= untilMs) throw failed(`${to.address} ${obstacle ?? `is ${lag} bytes behind`}`)
    if (obstacle === undefined && lag <= 0) return
    if (nowMs >= tightUntilMs) await delay(handOverPollMs)
  }
}

/** The target was promoted by an attempt that ended there. */
function requireWhole({ from, to }: HandoverOptions, old: Replication, next: Replication): void {
  const whole = next.replId === old.replId ? next.offset : next.secondReplOffset - 1
  const missing = old.offset - whole
  if (missing <= 0) return
  throw failed(`${to.address} is a primary already and lacks ${missing} bytes of ${from.address}`)
}

/** A server that said no was not promoted; one that did not answer may have been. */
async function promote(
  { from, to }: HandoverOptions,
  { clock, untilMs, isPaused }: Bounds & { readonly isPaused: boolean },
): Promise<void> {
  let isUncertain = false
  for (;;) {
    const [told, seen] = await Promise.allSettled([follow(to, 'nobody'), replicationOf(to)])
    if (seen.status === 'fulfilled' && seen.value.role === 'primary') return
    isUncertain ||= told.status === 'fulfilled' || refusalOf(told.reason) === undefined
    if (!isUncertain && told.status === 'rejected') {
      if (isPaused) await release(from)
      throw told.reason
    }
    if (clock.monotonicMs() >= untilMs) {
      throw failed(`whether ${to.address} was promoted is not known`)
    }
    await delay(handOverRetryMs)
  }
}

async function demote({ from, source }: HandoverOptions, { clock, untilMs }: Bounds) {
  for (;;) {
    try {
      return await follow(from, source)
    } catch (error) {
      if (clock.monotonicMs() >= untilMs) throw error
    }
    await delay(handOverRetryMs)
  }
}

/** Where this does not arrive the pause ends by itself. */
async function release(from: ServerProcess): Promise<void> {
  await from.call('CLIENT', 'UNPAUSE').catch(() => {})
}

function failed(why: string): UpstreamError {
  return new UpstreamError('RM_HANDOVER_FAILED', why, { retryable: true })
}
