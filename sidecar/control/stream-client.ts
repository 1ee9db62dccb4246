/**
 * Keeps an exchange with the control plane open and obeys what comes. The data path does not wait for it: while
 * there is no exchange, the last good configuration stays in force.
 */
import type { Clock } from '../../common/clock.ts'
import {
  type ProxyConfig,
  handoverOf,
  parseProxyConfig,
} from '../../common/contract/proxy-config.ts'
import type { ServerMessage, SidecarMessage } from '../../common/contract/stream.ts'
import { ConfigError, assertNever, codeOf } from '../../common/errors.ts'
import {
  listenRetryMs,
  reportHeardMs,
  streamErrorLengthMax,
  streamPingMs,
  streamRetryMaxMs,
  streamRetryMinMs,
} from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { version } from '../../common/version.ts'
import type { StreamOptions } from '../config/index.ts'
import { Backoff } from './backoff.ts'
import { CommonStart } from './common-start.ts'
import type { Evidence } from './evidence.ts'
import type { Grants } from './grants.ts'
import type { ConfigKeeper } from './keeper.ts'
import type { ConfigStore } from './store.ts'
import { StreamConnection } from './stream-connection.ts'

export interface StreamClientModules {
  readonly keeper: ConfigKeeper
  readonly store: ConfigStore
  readonly evidence: () => Evidence
  readonly grants: Grants
  /** The control plane suspects the primary of `epoch`. */
  readonly suspect: (epoch: number, forMs: number) => void
  readonly log: Log
  readonly clock: Clock
  readonly random: () => number
}

/** For metrics and status; plain numbers and a word. */
export interface StreamView {
  readonly isConnected: boolean
  readonly connects: number
  readonly failures: number
  readonly lastError?: string
}

export class StreamClient {
  private readonly options: StreamOptions
  private readonly modules: StreamClientModules
  private readonly log: Log
  private readonly backoff: Backoff
  private connection: StreamConnection | undefined
  private running: Promise<void> | undefined
  private wake: (() => void) | undefined
  private isStopping = false
  private isOpen = false
  private connects = 0
  private failures = 0
  private lastError: string | undefined
  /** The newest configuration that waits for its turn, and whether one is being taken. */
  private pending: { readonly value: unknown; readonly from: StreamConnection } | undefined
  private isTaking = false
  private readonly commonStart = new CommonStart()
  /** The last one that was. */
  private stored: ProxyConfig | undefined
  /** When the primary was heard last, as far as the control plane was told. */
  private reported: number | undefined
  private ticker: NodeJS.Timeout | undefined
  private readonly firstResult = Promise.withResolvers<void>()

  constructor(options: StreamOptions, modules: StreamClientModules) {
    this.options = options
    this.modules = modules
    this.log = modules.log.child({ stream: options.url.host })
    this.backoff = new Backoff(
      { minMs: streamRetryMinMs, maxMs: streamRetryMaxMs },
      { random: modules.random },
    )
  }

  start(): void {
    this.running ??= this.run()
    this.ticker ??= setInterval(() => this.reportHeard(), reportHeardMs).unref()
  }

  /** Resolves once the stream has given a configuration or failed for the first time. */
  get settledOnce(): Promise<void> {
    return this.firstResult.promise
  }

  view(): StreamView {
    return {
      isConnected: this.isOpen,
      connects: this.connects,
      failures: this.failures,
      ...(this.lastError !== undefined && { lastError: this.lastError }),
    }
  }

  /** Tells the control plane how the primary is seen, if someone listens. */
  report(): void {
    const epoch = this.modules.keeper.givenEpoch
    if (epoch === undefined || !this.isOpen) return
    const evidence = this.modules.evidence()
    this.reported = this.heardAt(evidence)
    this.connection?.send({ kind: 'report', ...evidence, epoch })
  }

  /** Tells that the primary was heard since the last report, so that whoever doubts it knows. */
  private reportHeard(): void {
    const heardAtMs = this.heardAt(this.modules.evidence())
    if (heardAtMs !== undefined && heardAtMs - (this.reported ?? 0) > reportSlackMs) this.report()
  }

  private heardAt({ heardMsAgo }: Evidence): number | undefined {
    return heardMsAgo === undefined ? undefined : this.modules.clock.monotonicMs() - heardMsAgo
  }

  async stop(): Promise<void> {
    this.isStopping = true
    clearInterval(this.ticker)
    this.modules.grants.stop()
    this.connection?.end('the sidecar is stopping')
    this.commonStart.end()
    this.wake?.()
    await this.running
  }

  private async run(): Promise<void> {
    const { clock } = this.modules
    while (!this.isStopping) {
      const startedAt = clock.monotonicMs()
      try {
        await this.exchange()
      } catch (error) {
        this.ended(error)
      }
      if (clock.monotonicMs() - startedAt > streamPingMs) this.backoff.reset()
      if (!this.isStopping) await this.pause(this.backoff.nextMs())
    }
  }

  private async exchange(): Promise<never> {
    const { id } = this.options
    const connection: StreamConnection = new StreamConnection(
      this.options,
      {
        onOpen: () => this.opened(),
        onMessage: (message) => this.receive(message, connection),
      },
      this.modules,
    )
    this.connection = connection
    return connection.run({ kind: 'hello', sidecar: { id, version } })
  }

  private opened(): void {
    this.isOpen = true
    this.connects += 1
    this.lastError = undefined
    this.log.info({}, 'connected to the control plane')
    this.modules.grants.open((message: SidecarMessage) => this.connection?.send(message))
    this.report()
  }

  private ended(error: unknown): void {
    const wasOpen = this.isOpen
    this.isOpen = false
    this.connection = undefined
    this.modules.grants.close()
    this.commonStart.end()
    if (this.isStopping) return
    if (codeOf(error) === undefined) throw error
    this.failures += 1
    const message = describe(error)
    const isNews = wasOpen || message !== this.lastError
    this.lastError = message
    const fields = { err: error, hasConfig: this.modules.keeper.config !== undefined }
    if (isNews) this.log.warn(fields, 'no stream from the control plane; trying again')
    else this.log.debug(fields, 'still no stream from the control plane')
    this.firstResult.resolve()
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private receive(message: ServerMessage, from: StreamConnection): void {
    switch (message.kind) {
      case 'ping':
        return
      case 'grant':
        return this.modules.grants.take(message)
      case 'begin':
        return this.commonStart.take(message)
      case 'suspect':
        return this.modules.suspect(message.epoch, message.forMs)
      case 'config':
        this.pending = { value: message.config, from }
        this.commonStart.end()
        this.takePending()
        return
      default:
        assertNever(message)
    }
  }

  /** One at a time, always the newest: what came meanwhile and was overtaken is never looked at. */
  private takePending(): void {
    const { pending } = this
    if (pending === undefined || this.isTaking) return
    this.pending = undefined
    this.isTaking = true
    this.take(pending.value, pending.from)
      .catch((err: unknown) => {
        this.log.error({ err }, 'configuration could not be taken')
        pending.from.end('the sidecar failed to take a configuration', err)
      })
      .finally(() => {
        this.isTaking = false
        this.takePending()
      })
  }

  private async take(value: unknown, from: StreamConnection): Promise<void> {
    const error = await this.obey(value, from)
    if (error === overtaken) return
    const { version, epoch } = numbersOf(value)
    const refusal = error === undefined ? {} : { error: error.slice(0, streamErrorLengthMax) }
    from.send({ kind: 'ack', version, epoch, ...refusal })
    this.report()
    this.firstResult.resolve()
  }

  /** @returns why it was refused, or undefined when it is in force and stored */
  private async obey(
    value: unknown,
    from: StreamConnection,
  ): Promise<string | typeof overtaken | undefined> {
    const { keeper } = this.modules
    const former = this.stored
    try {
      const config = this.parse(value)
      // What lets clients go on until all is ready is stored while they do: they would wait for it otherwise.
      const isEarly = handoverOf(config) !== undefined && keeper.wouldTake(config)
      if (isEarly) {
        const done = await Promise.allSettled([this.save(config), keeper.prepare(config)])
        for (const one of done) if (one.status === 'rejected') throw one.reason
        // If it was called off before it began, or is sent once more, nobody has to wait for it.
        if (this.isOvertaken) return overtaken
        await this.commonStart.wait(config, (message) => from.send(message))
        if (this.isOvertaken) return overtaken
      }
      const offered = await keeper.offer(config)
      if (offered.kind === 'refused') {
        this.log.warn({ code: offered.code, reason: offered.reason }, 'configuration refused')
        return `${offered.code}: ${offered.reason}`
      }
      if (offered.kind === 'applied' && !isEarly) await this.save(config)
      return undefined
    } catch (err) {
      if (this.stored !== former && former !== undefined) await this.save(former)
      const code = codeOf(err)
      if (code === undefined || !(err instanceof Error)) throw err
      this.log.error({ err }, 'configuration refused; the last good one stays in force')
      if (code === 'RM_LISTEN_FAILED') this.retry(value, from)
      return `${code}: ${err.message}`
    }
  }

  private get isOvertaken(): boolean {
    return this.pending !== undefined
  }

  private async save(config: ProxyConfig): Promise<void> {
    await this.modules.store.save(config)
    this.stored = config
  }

  private parse(value: unknown): ProxyConfig {
    const config = parseProxyConfig(value)
    const { namespace, name } = this.options.proxy
    if (config.proxy.namespace !== namespace || config.proxy.name !== name) {
      throw new ConfigError(
        'RM_CONFIG_INVALID',
        `the configuration is of ${config.proxy.namespace}/${config.proxy.name}, not of ${namespace}/${name}`,
      )
    }
    return config
  }

  /** A port that was taken may become free, and the control plane has no reason to send the same again. */
  private retry(value: unknown, from: StreamConnection): void {
    setTimeout(() => {
      if (this.isStopping || this.connection !== from || this.pending !== undefined) return
      if (this.modules.keeper.config !== undefined) return
      this.pending = { value, from }
      this.takePending()
    }, listenRetryMs).unref()
  }
}

/** Another configuration is here, and what this one would have done was not done. */
const overtaken = Symbol('overtaken')

/** The same word of a primary may seem so much younger the next time it is looked at. */
const reportSlackMs = 5

function numbersOf(value: unknown): { readonly version: number; readonly epoch: number } {
  const read = (key: 'version' | 'epoch') => {
    if (typeof value !== 'object' || value === null || !(key in value)) return 0
    const number: unknown = (value as Record<string, unknown>)[key]
    return Number.isSafeInteger(number) ? (number as number) : 0
  }
  return { version: read('version'), epoch: read('epoch') }
}

/** The chain of causes in one line, so that two failures of the same kind look the same. */
function describe(error: unknown): string {
  const parts: string[] = []
  let current: unknown = error
  while (current instanceof Error && parts.length < 4) {
    parts.push(current.message)
    current = current.cause
  }
  return parts.join(': ')
}
