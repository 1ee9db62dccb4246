/**
 * The data path in several processes. This one owns the listeners and hands each client to the worker that has
 * the fewest; a worker has upstream connections of its own and knows nothing of the others.
 *
 * A configuration is obeyed when every worker has said so, or is gone: a process that has ended can write to
 * no server. One that ends by itself takes only its own clients along, and is started again.
 */
import type { Socket } from 'node:net'
import { systemClock } from '../../common/clock.ts'
import { type Listener, type ProxyConfig, handoverOf } from '../../common/contract/proxy-config.ts'
import type { PrimaryView } from '../../common/contract/stream.ts'
import {
  defaultTiming,
  handoverPrepareMs,
  stopMarginMs,
  switchSettleMs,
  workerAnswerMs,
  workerClientsWaitingMax,
  workerRestartMaxMs,
  workerRestartMinMs,
  workerSettledMs,
} from '../../common/limits.ts'
import { FileWatch } from '../../common/secret-files.ts'
import { type DataPlane, type DataPlaneView, newCounters } from '../data-plane.ts'
import type { MessageLogOptions } from '../messages/options.ts'
import { ListenerSet } from '../net/listener-set.ts'
import { ClientListener, listenerKey } from '../net/listener.ts'
import type { AcceptorModules } from '../net/tls-acceptor.ts'
import { tooManyClients } from '../overload/client-guard.ts'
import type { TopologyView } from '../topology/view.ts'
import type { DataPlaneModules } from '../pipeline.ts'
import { switchOver } from '../switch/switch-over.ts'
import { type Sum, addUp, emptySum } from './aggregate.ts'
import { PoolAuthority } from './pool-authority.ts'
import type { Request } from './protocol.ts'
import { shareOf } from './share.ts'
import { addTopologies } from './topology-sum.ts'
import { Worker } from './worker.ts'

interface Waiting {
  readonly socket: Socket
  readonly listener: string
}

export class WorkerPool implements DataPlane {
  private readonly modules: DataPlaneModules
  private readonly count: number
  private readonly workers = new Set<Worker>()
  readonly authority = new PoolAuthority(this.workers)
  /** Those that serve. */
  private readonly serving = new Set<Worker>()
  private readonly listeners: ListenerSet
  private readonly viewListeners: ((view: PrimaryView) => void)[] = []
  private readonly clients: Waiting[] = []
  /** What workers counted that are gone. */
  private past: Sum = emptySum()
  private config: ProxyConfig | undefined
  private primary: PrimaryView = 'none'
  private restartCount = 0
  private failuresInRow = 0
  private isPaused = false
  private isHeld = false
  private isStopping = false

  constructor(modules: DataPlaneModules, count: number) {
    this.modules = modules
    this.count = count
    const { log, clock = systemClock } = modules
    const counters = newCounters()
    const acceptor = { log, clock, counters, files: new FileWatch(log, counters) }
    this.listeners = new ListenerSet({ log, create: (plain) => this.newListener(plain, acceptor) })
  }

  async start(config: ProxyConfig): Promise<void> {
    this.config = config
    try {
      await this.listeners.start(plainListeners(config))
      await Promise.all(Array.from({ length: this.count }, () => this.startWorker()))
    } catch (error) {
      this.isStopping = true
      this.listeners.close()
      for (const worker of this.workers) worker.kill()
      throw error
    }
  }

  addresses(): readonly string[] {
    return this.listeners.addresses()
  }

  async prepare(config: ProxyConfig): Promise<void> {
    const share = shareOf(config, this.count, this.modules.bounds)
    await this.askAll({ kind: 'prepare', config: share }, handoverPrepareMs)
  }

  async apply(config: ProxyConfig): Promise<void> {
    this.config = config
    const share = shareOf(config, this.count, this.modules.bounds)
    const timeoutMs = workerAnswerMs + (handoverOf(config)?.drainMs ?? 0)
    const obeyed = [...this.workers].map((worker) =>
      worker.ask({ kind: 'apply', config: share }, timeoutMs),
    )
    this.listeners.apply(plainListeners(config))
    await Promise.all(obeyed)
  }

  async pause(): Promise<void> {
    this.isPaused = true
    await this.askAll({ kind: 'pause' }, this.drainMs)
  }

  resume(): void {
    this.isPaused = false
    for (const worker of this.workers) void worker.ask({ kind: 'resume' }, workerAnswerMs)
  }

  switchTo(config: ProxyConfig): Promise<void> {
    return switchOver(this, () => this.apply(config))
  }

  async hold(): Promise<void> {
    this.isHeld = true
    await this.askAll({ kind: 'hold' }, this.drainMs)
  }

  async settle(): Promise<void> {
    await this.askAll({ kind: 'settle' }, switchSettleMs)
  }

  async endHold(): Promise<void> {
    this.isHeld = false
    await this.askAll({ kind: 'endHold' })
  }

  /** Resolves, or fails as the first of them that did, when all have answered. */
  private async askAll(request: Request, timeMs = 0): Promise<void> {
    const asked = [...this.workers].map((worker) => worker.ask(request, timeMs + workerAnswerMs))
    const failed = (await Promise.allSettled(asked)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  logMessages(options: MessageLogOptions): void {
    const share = { ...options, max: Math.ceil(options.max / Math.max(1, this.workers.size)) }
    const request = { kind: 'logMessages', options: share } as const
    for (const worker of this.workers) void worker.ask(request, workerAnswerMs)
  }

  terminateRaw(): void {
    for (const worker of this.workers) void worker.ask({ kind: 'terminateRaw' }, workerAnswerMs)
  }

  view(): DataPlaneView {
    const sum = addUp(this.past, this.workers)
    const memoryBytesMax = this.config?.limits.memoryBytesMax ?? this.modules.bounds?.memoryBytesMax
    return {
      ...sum,
      primary: this.primary,
      isPaused: this.isPaused,
      workerRestarts: this.restartCount,
      ...(memoryBytesMax !== undefined && { memoryBytesMax }),
    }
  }

  topology(): TopologyView | undefined {
    return addTopologies([...this.workers].flatMap(({ state }) => state?.topology ?? []))
  }

  onPrimaryChange(listener: (view: PrimaryView) => void): void {
    this.viewListeners.push(listener)
  }

  async stop(): Promise<void> {
    this.isStopping = true
    this.listeners.close()
    for (const { socket } of this.clients.splice(0)) socket.destroy()
    const timeoutMs = this.drainMs + stopMarginMs / 2
    await Promise.all([...this.workers].map((worker) => worker.ask({ kind: 'stop' }, timeoutMs)))
    for (const worker of this.workers) worker.kill()
  }

  private get drainMs(): number {
    return (this.config?.timing ?? defaultTiming).drainTimeoutMs
  }

  private newListener(
    listener: Listener,
    acceptor: Omit<AcceptorModules, 'accept'>,
  ): ClientListener {
    const key = listenerKey(listener)
    const accept = (socket: Socket) => this.accept(socket, key)
    return new ClientListener(listener, { ...acceptor, accept }, { isHandedOn: true })
  }

  private accept(socket: Socket, listener: string): void {
    socket.on('error', () => {})
    if (this.serving.size > 0) return this.give(socket, listener)
    if (this.isStopping) return void socket.destroy()
    if (this.clients.length < workerClientsWaitingMax) {
      this.clients.push({ socket, listener })
      return
    }
    socket.end(tooManyClients)
    socket.destroySoon()
  }

  private give(socket: Socket, listener: string): void {
    let least: Worker | undefined
    for (const worker of this.serving) {
      if (least === undefined || worker.clientCount < least.clientCount) least = worker
    }
    least?.give(socket, listener)
  }

  private async startWorker(): Promise<void> {
    const { config } = this
    if (config === undefined) return
    const worker = new Worker(
      { ...this.modules.env },
      {
        onState: () => this.look(),
        onEvidence: this.authority.tell,
        onGone: (gone) => this.onGone(gone),
      },
      this.modules.log,
    )
    this.workers.add(worker)
    const started = worker.ask(
      { kind: 'start', config: shareOf(config, this.count, this.modules.bounds) },
      workerAnswerMs * 5,
    )
    this.authority.introduce(worker)
    if (this.isPaused) await worker.ask({ kind: 'pause' }, this.drainMs + workerAnswerMs)
    if (this.isHeld) await worker.ask({ kind: 'hold' }, this.drainMs + workerAnswerMs)
    await started
    if (worker.isGone || this.isStopping) return
    this.serving.add(worker)
    for (const { socket, listener } of this.clients.splice(0)) this.give(socket, listener)
    setTimeout(() => {
      if (!worker.isGone) this.failuresInRow = 0
    }, workerSettledMs).unref()
  }

  private onGone(worker: Worker): void {
    this.past = addUp(this.past, [worker], true)
    this.workers.delete(worker)
    this.serving.delete(worker)
    if (this.isStopping) return
    this.look()
    const delayMs = Math.min(workerRestartMaxMs, workerRestartMinMs * 2 ** this.failuresInRow)
    this.failuresInRow = Math.min(16, this.failuresInRow + 1)
    this.modules.log.error({ pid: worker.pid, delayMs }, 'a worker has ended; another is started')
    setTimeout(() => {
      if (this.isStopping) return
      this.restartCount += 1
      this.startWorker().catch((err: unknown) => {
        this.modules.log.error({ err }, 'a worker could not be started')
        // It is tried again when it is gone.
        for (const worker of this.workers) if (!this.serving.has(worker)) worker.kill()
      })
    }, delayMs)
  }

  /** The primary is as the worker that sees the least of it says. */
  private look(): void {
    const seen = [...this.workers].map(({ state }) => state?.view.primary ?? 'failing')
    const isAll = (view: PrimaryView) => seen.length > 0 && seen.every((one) => one === view)
    const primary = isAll('ok') ? 'ok' : isAll('none') ? 'none' : 'failing'
    if (primary === this.primary) return
    this.primary = primary
    for (const listener of this.viewListeners) listener(primary)
  }
}

/** TLS, where it is asked for, is the matter of the worker. */
function plainListeners({ listeners }: ProxyConfig): readonly Listener[] {
  return listeners.map(({ tls: _tls, ...plain }) => plain)
}
