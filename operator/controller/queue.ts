/**
 * Keyed work queue: each key is worked on by one worker at a time, a key added while it is worked on is worked
 * on once more, failures are retried with growing waits. Bounded by the number of keys.
 */
import type { Clock } from '../../common/clock.ts'
import { TerminalError } from '../../common/errors.ts'
import {
  reconcileParallelMax,
  reconcileRetryMaxMs,
  reconcileRetryMinMs,
  reconcileBurstMax,
  reconcileSpacingMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'

export interface WorkResult {
  /** Work again after this, unless it was added before. */
  readonly requeueAfterMs?: number
}

export interface QueueModules {
  readonly work: (key: string) => Promise<WorkResult>
  readonly clock: Clock
  readonly log: Log
  /** In [0, 1); spreads retries. */
  readonly random: () => number
}

interface Entry {
  state: 'idle' | 'waiting' | 'ready' | 'working'
  timer: NodeJS.Timeout | undefined
  dueMs: number
  /** Added again while it was worked on. */
  isDirty: boolean
  failures: number
  lastStartMs: number
  /** Turns that may still follow each other without a gap; one more every `reconcileSpacingMs`. */
  credit: number
}

export class WorkQueue {
  private readonly modules: QueueModules
  private readonly entries = new Map<string, Entry>()
  private readonly ready: string[] = []
  private readonly active = new Map<string, Promise<void>>()
  private dispatching: NodeJS.Immediate | undefined
  private isStopped = false

  constructor(modules: QueueModules) {
    this.modules = modules
  }

  /** Works on the key soon; adding it again before that changes nothing. */
  add(key: string): void {
    this.addAfter(key, 0)
  }

  /** Works on the key after `delayMs` at the latest; an earlier time that was set before stands. */
  addAfter(key: string, delayMs: number): void {
    if (this.isStopped) return
    const entry = this.entry(key)
    if (entry.state === 'ready') return
    if (entry.state === 'working') {
      if (delayMs <= 0) entry.isDirty = true
      return
    }
    const now = this.modules.clock.monotonicMs()
    const spacingMs = creditOf(entry, now) >= 1 ? 0 : reconcileSpacingMs
    const dueMs = Math.max(now + delayMs, entry.lastStartMs + spacingMs)
    if (entry.state === 'waiting' && entry.dueMs <= dueMs) return
    this.schedule(key, entry, dueMs - now)
  }

  /** Takes no more and waits for what is being worked on. */
  async stop(): Promise<void> {
    this.isStopped = true
    for (const { timer } of this.entries.values()) clearTimeout(timer)
    this.ready.length = 0
    await Promise.all(this.active.values())
  }

  private entry(key: string): Entry {
    const known = this.entries.get(key)
    if (known !== undefined) return known
    const entry: Entry = {
      state: 'idle',
      timer: undefined,
      dueMs: 0,
      isDirty: false,
      failures: 0,
      lastStartMs: Number.NEGATIVE_INFINITY,
      credit: reconcileBurstMax,
    }
    this.entries.set(key, entry)
    return entry
  }

  private schedule(key: string, entry: Entry, delayMs: number): void {
    clearTimeout(entry.timer)
    entry.state = 'waiting'
    entry.dueMs = this.modules.clock.monotonicMs() + delayMs
    if (delayMs <= 0) {
      this.makeReady(key, entry)
      return
    }
    entry.timer = setTimeout(() => this.makeReady(key, entry), Math.ceil(delayMs))
  }

  private makeReady(key: string, entry: Entry): void {
    if (this.isStopped) return
    entry.state = 'ready'
    this.ready.push(key)
    this.dispatchSoon()
  }

  /** When what came in together is all there, and what the last turn sent is on its way. */
  private dispatchSoon(): void {
    this.dispatching ??= setImmediate(() => {
      this.dispatching = undefined
      this.dispatch()
    })
  }

  private dispatch(): void {
    while (!this.isStopped && this.active.size < reconcileParallelMax) {
      const key = this.ready.shift()
      if (key === undefined) return
      const running = this.run(key, this.entry(key)).finally(() => {
        this.active.delete(key)
        this.dispatch()
      })
      this.active.set(key, running)
    }
  }

  private async run(key: string, entry: Entry): Promise<void> {
    entry.state = 'working'
    entry.isDirty = false
    const now = this.modules.clock.monotonicMs()
    entry.credit = Math.max(0, creditOf(entry, now) - 1)
    entry.lastStartMs = now
    let delayMs: number | undefined
    try {
      const { requeueAfterMs } = await this.modules.work(key)
      entry.failures = 0
      delayMs = requeueAfterMs
    } catch (err) {
      delayMs = this.retryDelay(key, entry, err)
    }
    entry.state = 'idle'
    if (entry.isDirty) this.add(key)
    else if (delayMs !== undefined) this.addAfter(key, delayMs)
    else this.entries.delete(key)
  }

  private retryDelay(key: string, entry: Entry, err: unknown): number | undefined {
    const { log, random } = this.modules
    if (err instanceof TerminalError) {
      log.error({ err, proxy: key }, 'reconcile failed and waits for a change of the spec')
      return undefined
    }
    const wait = Math.min(
      reconcileRetryMaxMs,
      reconcileRetryMinMs * 2 ** Math.min(entry.failures, 16),
    )
    entry.failures += 1
    log.warn({ err, proxy: key, failures: entry.failures }, 'reconcile failed and is tried again')
    return wait * (0.5 + random() / 2)
  }
}

function creditOf({ credit, lastStartMs }: Entry, nowMs: number): number {
  return Math.min(reconcileBurstMax, credit + (nowMs - lastStartMs) / reconcileSpacingMs)
}
