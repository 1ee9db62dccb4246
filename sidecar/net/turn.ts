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

export class Turn {
  private isScheduled = false
  private wakes: Wakeable[] = []
  private upstreams: Flushable[] = []
  private clients: Flushable[] = []

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

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    setImmediate(this.run)
  }

  private readonly run = (): void => {
    this.isScheduled = false
    const { wakes, upstreams, clients } = this
    if (wakes.length > 0) {
      this.wakes = []
      for (const wakeable of wakes) wakeable.wake()
    }
    if (upstreams.length > 0) {
      this.upstreams = []
      for (const flushable of upstreams) flushable.flush()
    }
    if (clients.length > 0) {
      this.clients = []
      for (const flushable of clients) flushable.flush()
    }
    if (!this.isScheduled) turnMemory.reset()
  }
}
