/**
 * One turn of the event loop: whatever was read in it is written at its end, once per socket.
 * The number of system calls is what a proxy of small commands costs; this is where they are saved.
 */
import { turnMemory } from './turn-memory.ts'

export interface Flushable {
  flush(): void
}

export interface Wakeable {
  wake(): void
}

/** Turns that have begun and not ended: memory is theirs together. */
let openCount = 0

export class Turn {
  private isScheduled = false
  private readonly wakes = new TurnList<Wakeable>()
  private readonly upstreams = new TurnList<Flushable>()
  private readonly clients = new TurnList<Flushable>()
  private readonly watchers = new Set<() => void>()

  /** Has `wake` called at the end of this turn, before anything is written. */
  addWake(wakeable: Wakeable): void {
    this.wakes.push(wakeable)
    this.schedule()
  }

  /** Has requests written at the end of this turn: before replies, since a server works meanwhile. */
  addUpstream(flushable: Flushable): void {
    this.upstreams.push(flushable)
    this.schedule()
  }

  addClient(flushable: Flushable): void {
    this.clients.push(flushable)
    this.schedule()
  }

  /** Resolves when something was written, or after `maxMs`. */
  next(maxMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.watchers.delete(done)
        resolve()
      }
      const timer = setTimeout(done, maxMs)
      this.watchers.add(done)
    })
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    openCount += 1
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    this.wakes.empty(wake)
    this.upstreams.empty(flush)
    this.clients.empty(flush)
    if (this.wakes.isEmpty && this.upstreams.isEmpty && this.clients.isEmpty) {
      this.isScheduled = false
      openCount -= 1
      if (openCount === 0) turnMemory.reset()
      for (const watcher of this.watchers) watcher()
    } else setImmediate(this.run)
  }
}

const wake = (one: Wakeable): void => one.wake()
const flush = (one: Flushable): void => one.flush()

/** Whoever has something to do at the end of a turn; the list is used again in every turn. */
class TurnList<T> {
  private present: (T | undefined)[] = []
  private spare: (T | undefined)[] = []
  private count = 0

  get isEmpty(): boolean {
    return this.count === 0
  }

  push(one: T): void {
    this.present[this.count] = one
    this.count += 1
  }

  /** Calls `each` with all that are there; those that come meanwhile are of the next turn. */
  empty(each: (one: T) => void): void {
    const { present, count } = this
    if (count === 0) return
    this.present = this.spare
    this.spare = present
    this.count = 0
    for (let index = 0; index < count; index += 1) {
      const one = present[index] as T
      present[index] = undefined
      each(one)
    }
  }
}
