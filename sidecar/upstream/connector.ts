/** Opens connections to the server of now: tries on as long as there is one, and has its process know all scripts. */
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, codeOf } from '../../common/errors.ts'
import { pinnedOpeningMax } from '../../common/limits.ts'
import type { Reply } from '../resp/decode.ts'
import { retryDelayMs } from './backoff.ts'
import { type Connected, type Heard, type Target, connectServer } from './connect.ts'
import type { ProtocolVersion, UpstreamConnection } from './connection.ts'
import { Gate } from './gate.ts'
import type { Hearing } from './hearing.ts'
import { connectionIdOf } from './hello.ts'
import type { ServerModules } from './server-modules.ts'
import { givenUp, isBusy, isReplica } from './target.ts'

/** What belongs to an older generation can never come to life afterwards. */
export interface Generation {
  readonly target: Target
  readonly abort: AbortController
}

export interface ConnectorModules extends ServerModules {
  readonly heard: Heard
  readonly hearing: Hearing
  readonly generation: () => Generation | undefined
  /** Whether its server is connected already. */
  readonly isConnected: () => boolean
  /** A server that is connected as a primary says that it is a replica. */
  readonly onReplica: () => void
}

export class Connector {
  /** What the server said to HELLO; undefined until one has answered. */
  hello: Reply | undefined
  /** Why the last attempt failed; undefined while attempts succeed. */
  failure: ErrorCode | undefined
  /** Since when its server is known to be a replica, which was to be none; monotonic. */
  replicaSinceMs: number | undefined
  private readonly modules: ConnectorModules
  /** The process that knows all scripts. */
  private taughtRunId = ''
  private readonly gate = new Gate(pinnedOpeningMax)

  constructor(modules: ConnectorModules) {
    this.modules = modules
  }

  /**
   * `own` has the connection entered where it is found when it must end, before anything else can happen.
   * @throws UpstreamError RM_NO_PRIMARY when the signal or a change of primary ended the attempts
   */
  async until(
    protocol: ProtocolVersion,
    signal: AbortSignal,
    own: (connection: UpstreamConnection) => void,
    isPinned = false,
  ): Promise<UpstreamConnection> {
    const { log, random, isConnected } = this.modules
    for (let attempt = 0; ; attempt += 1) {
      const generation = this.modules.generation()
      if (generation === undefined || signal.aborted) throw givenUp()
      const ended = AbortSignal.any([signal, generation.abort.signal])
      try {
        const { target } = generation
        const connect = () => this.open(target, protocol, ended)
        const connected = await (isPinned ? this.gate.pass(connect, ended) : connect())
        const patience = AbortSignal.any([ended, AbortSignal.timeout(target.connectTimeoutMs)])
        const isTaught = connected.runId !== '' && connected.runId === this.taughtRunId
        if (!isTaught) await this.modules.scripts.teach(connected.connection, patience)
        this.taughtRunId = connected.runId
        if (this.modules.generation() === generation && !signal.aborted) {
          this.note(connected)
          own(connected.connection)
          return connected.connection
        }
        connected.connection.destroy()
      } catch (error) {
        if (!ended.aborted) {
          const code = codeOf(error)
          if (attempt === 0 || code !== this.failure) {
            log.warn({ err: error }, 'a server cannot be used; trying on')
          }
          this.failure = code
          this.noteRole(error)
        }
        // Without a server its client waits with all others, until a lane has found one.
        if (isPinned && (isBusy(error) || !isConnected())) throw error
      }
      await delay(retryDelayMs(attempt, random), undefined, { signal }).catch(() => undefined)
    }
  }

  async open(target: Target, protocol: ProtocolVersion, signal: AbortSignal): Promise<Connected> {
    const connected = await connectServer(target, protocol, this.modules, signal)
    connected.connection.hearing = this.modules.hearing
    return connected
  }

  /** One was opened otherwise, to a process that knows all scripts. */
  adopt(connected: Connected): void {
    this.taughtRunId = connected.runId
    connected.connection.heard = this.modules.heard
    connected.connection.hearing = this.modules.hearing
    this.note(connected)
  }

  private noteRole(error: unknown): void {
    if (!isReplica(error)) this.replicaSinceMs = undefined
    else this.replicaSinceMs ??= this.modules.clock.monotonicMs()
    if (isReplica(error) && this.modules.isConnected()) this.modules.onReplica()
  }

  private note({ connection, hello }: Connected): void {
    this.replicaSinceMs = undefined
    this.hello = hello
    connection.serverId = connectionIdOf(hello)
    this.failure = undefined
  }
}
