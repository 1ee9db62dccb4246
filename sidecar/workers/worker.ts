/** One worker process as the main process sees it. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Log } from '../../common/log.ts'
import { type Request, type ToMain, type ToWorker, type WorkerState, errorOf } from './protocol.ts'

export interface WorkerEvents {
  onState(): void
  onEvidence(): void
  /** The process is gone: whatever it had open is closed, and nothing comes of it any more. */
  onGone(worker: Worker): void
}

interface Asked {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class Worker {
  state: WorkerState | undefined
  /** Clients given to it, of which the state may not tell yet. */
  givenCount = 0
  isGone = false
  private readonly child: ChildProcess
  private readonly events: WorkerEvents
  private readonly log: Log
  private readonly asked = new Map<number, Asked>()
  private readonly waiting: ToWorker[] = []
  private isReady = false
  private nextId = 1

  constructor(env: NodeJS.ProcessEnv, events: WorkerEvents, log: Log) {
    this.events = events
    this.log = log
    this.child = forkWorker(env)
    this.child.on('message', (message) => this.receive(message as ToMain))
    this.child.on('error', (err) => this.log.error({ err, pid: this.pid }, 'a worker has failed'))
    this.child.once('exit', () => this.onExit())
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Clients that it has, or is about to have. */
  get clientCount(): number {
    const view = this.state?.view
    return this.givenCount - (view?.counters.clientsAccepted ?? 0) + (view?.clients ?? 0)
  }

  /**
   * Has it do something. Resolves when it did, or when the process is gone, since then there is none that did not.
   * A process that does not answer within `timeoutMs` is ended.
   */
  ask(request: Request, timeoutMs: number): Promise<void> {
    if (this.isGone) return Promise.resolve()
    const id = this.nextId
    this.nextId += 1
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.log.error({ pid: this.pid, timeoutMs }, 'a worker did not answer; it is ended')
      this.kill()
    }, timeoutMs)
    const settle = () => {
      clearTimeout(timer)
      this.asked.delete(id)
    }
    this.asked.set(id, {
      resolve: () => {
        settle()
        resolve()
      },
      reject: (error) => {
        settle()
        reject(error)
      },
    })
    this.send({ kind: 'request', id, request })
    return promise
  }

  give(socket: Socket, listener: string): void {
    this.givenCount += 1
    const message: ToWorker = { kind: 'client', listener }
    this.child.send(message, socket, {}, (error) => {
      if (error !== null) socket.destroy()
    })
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }

  private send(message: ToWorker): void {
    if (!this.isReady) this.waiting.push(message)
    else if (this.child.connected) this.child.send(message, () => {})
  }

  private receive(message: ToMain): void {
    if (message.kind === 'ready') {
      this.isReady = true
      for (const waiting of this.waiting.splice(0)) this.send(waiting)
      return
    }
    this.state = message.state
    this.events.onState()
    if (message.kind === 'state') {
      if (message.isEvidence === true) this.events.onEvidence()
      return
    }
    const asked = this.asked.get(message.id)
    if (message.failure === undefined) asked?.resolve()
    else asked?.reject(errorOf(message.failure))
  }

  private onExit(): void {
    this.isGone = true
    for (const { resolve } of this.asked.values()) resolve()
    this.events.onGone(this)
  }
}

/** From sources a worker is a program of its own; in a bundle it is a word of the one program. */
function forkWorker(env: NodeJS.ProcessEnv): ChildProcess {
  const options = { env, execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] as const }
  const { dirname, filename } = import.meta
  return filename.endsWith('.ts')
    ? fork(join(dirname, '..', '..', 'cli', 'main.ts'), ['sidecar-worker'], {
        ...options,
        stdio: [...options.stdio],
      })
    : fork(process.argv[1] ?? '', ['sidecar-worker'], { ...options, stdio: [...options.stdio] })
}
