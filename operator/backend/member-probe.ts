/**
 * Watches one server over one persistent connection: a look every quarter of a second, at once when the
 * connection ends, and on request. Commands go over the same connection, so that they reach the process that
 * was looked at and no other.
 */
import type { Clock } from '../../common/clock.ts'
import { type ErrorCode, UpstreamError } from '../../common/errors.ts'
import { probeIntervalMs, probeRetryMs } from '../../common/limits.ts'
import type { Observation, ProbeFailure, ServerFacts } from '../controller/observation.ts'
import {
  type ProbeError,
  ServerConnection,
  type ServerTarget,
  asProbeError,
  located,
  replyCodeOf,
} from './connection.ts'
import type { CommandParts } from './names.ts'
import { GuardReader } from './guard-facts.ts'
import { isClusterNode, parseClusterInfo, parseInfo } from './info.ts'

interface OpenConnection {
  readonly connection: ServerConnection
  readonly guards: GuardReader
  /** The process at its other end, once it said so. */
  runId?: string
}

export class MemberProbe {
  readonly target: ServerTarget
  private readonly clock: Clock
  private readonly onObserved: (observation: Observation) => void
  private current: OpenConnection | undefined
  private observed: Observation
  private timer: NodeJS.Timeout | undefined
  private running: Promise<void> | undefined
  /** The look that is wanted after it. */
  private next: Promise<void> | undefined
  /** When the server last ended the connection of its own accord; undefined once it answers again. */
  private endedAtMs: number | undefined
  private isStopped = false

  constructor(
    options: { readonly address: string; readonly target: ServerTarget },
    modules: { readonly clock: Clock; readonly onObserved: (observation: Observation) => void },
  ) {
    this.target = options.target
    this.clock = modules.clock
    this.onObserved = modules.onObserved
    this.observed = {
      address: options.address,
      atMs: modules.clock.monotonicMs(),
      state: { kind: 'unknown' },
    }
  }

  get observation(): Observation {
    return this.observed
  }

  start(): void {
    void this.probe()
  }

  stop(): void {
    this.isStopped = true
    clearTimeout(this.timer)
    this.drop()
  }

  /** Looks now; resolves when the answer or failure of a look begun after this call is recorded. */
  probeNow(): Promise<void> {
    if (this.running === undefined) return this.probe()
    // Whoever asks meanwhile means the same one.
    this.next ??= this.running.then(() => {
      this.next = undefined
      return this.probe()
    })
    return this.next
  }

  /**
   * Sends a command to the process `runId`, and to no other.
   * @throws UpstreamError with `code` if that process is not at hand or refuses
   */
  async command(runId: string, code: ErrorCode, parts: CommandParts): Promise<unknown> {
    const { current } = this
    const [name, ...args] = parts
    const { address } = this.observed
    if (current?.runId !== runId || typeof name !== 'string') {
      throw new UpstreamError(code, `${address} is not connected as process ${runId}`, {
        retryable: true,
      })
    }
    try {
      return await current.connection.call(name, ...args)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new UpstreamError(code, `${address} did not carry out ${name}: ${why}`, {
        cause,
        retryable: true,
      })
    }
  }

  /** The settings that protect the data are read at the next look. */
  guardsChanged(): void {
    this.current?.guards.changed()
  }

  /** A command for replication users: the next look says how they are, and what is refused. */
  async setGuard(runId: string, parts: CommandParts): Promise<unknown> {
    const { current } = this
    try {
      const reply = await this.command(runId, 'RM_GUARD_FAILED', parts)
      current?.guards.changed()
      return reply
    } catch (error) {
      const words = parts.slice(0, 2).join(' ')
      current?.guards.refused(error, words, this.clock.monotonicMs())
      throw error
    }
  }

  private probe(): Promise<void> {
    if (this.isStopped) return Promise.resolve()
    this.running ??= this.look().finally(() => {
      this.running = undefined
      if (this.isStopped) return
      const delay = this.observed.state.kind === 'up' ? probeIntervalMs : probeRetryMs
      clearTimeout(this.timer)
      this.timer = setTimeout(() => void this.probe(), delay)
    })
    return this.running
  }

  private async look(): Promise<void> {
    const beganMs = this.clock.monotonicMs()
    try {
      const current = await this.connected()
      const facts = await readFacts(current.connection, this.observed.last)
      current.runId = facts.runId
      const guards = await current.guards.read(current.connection, this.clock.monotonicMs())
      this.endedAtMs = undefined
      this.record({ kind: 'up', facts: { ...facts, ...(guards && { guards }) } })
    } catch (error) {
      this.drop()
      this.record({ kind: 'down', failure: this.failure(asProbeError(error), beganMs) })
    }
  }

  private async connected(): Promise<OpenConnection> {
    if (this.current !== undefined) return this.current
    const opened: OpenConnection = {
      connection: new ServerConnection(located(this.target)),
      guards: new GuardReader(this.target),
    }
    await opened.connection.open(() => this.ended(opened))
    if (this.isStopped) opened.connection.close()
    this.current = opened
    return opened
  }

  /** The connection ended by itself: look again at once, because that is how a death begins. */
  private ended(connection: OpenConnection): void {
    if (this.current !== connection || this.isStopped) return
    this.current = undefined
    this.endedAtMs = this.clock.monotonicMs()
    void this.probe()
  }

  private drop(): void {
    const { current } = this
    this.current = undefined
    current?.connection.close()
  }

  private failure(error: ProbeError, beganMs: number): ProbeFailure {
    const former = this.observed.state.kind === 'down' ? this.observed.state.failure : undefined
    const isRefused = error.kind === 'refused' || error.kind === 'closed'
    // Where a pod is gone its address may lead nowhere, which looks like a cut network; that the server hung up
    // first tells the two apart.
    if (isRefused) this.endedAtMs ??= beganMs
    const refusedSinceMs = former?.refusedSinceMs ?? this.endedAtMs
    return {
      kind: error.kind,
      sinceMs: former?.sinceMs ?? beganMs,
      ...(refusedSinceMs !== undefined && { refusedSinceMs }),
      message: error.message,
    }
  }

  private record(state: Observation['state']): void {
    if (this.isStopped) return
    const last = state.kind === 'up' ? state.facts : this.observed.last
    this.observed = {
      address: this.observed.address,
      atMs: this.clock.monotonicMs(),
      state,
      ...(last && { last }),
    }
    this.onObserved(this.observed)
  }
}

/** A server that is busy with a script answers -BUSY: alive, and as it was last seen. */
async function readFacts(
  connection: ServerConnection,
  last: ServerFacts | undefined,
): Promise<ServerFacts> {
  let reply: unknown
  try {
    reply = await connection.ask('INFO')
  } catch (error) {
    if (replyCodeOf(error) === 'BUSY' && last !== undefined) return last
    throw error
  }
  const facts = typeof reply === 'string' ? parseInfo(reply) : undefined
  if (facts === undefined) throw asProbeError(new Error('its INFO has no run_id and role'))
  if (typeof reply !== 'string' || !isClusterNode(reply)) return facts
  const cluster = await clusterInfo(connection)
  return { ...facts, ...(cluster !== undefined && { cluster: parseClusterInfo(cluster) }) }
}

/** A user that may not ask gets no answer, which is no failure of the server. */
async function clusterInfo(connection: ServerConnection): Promise<string | undefined> {
  try {
    const reply = await connection.ask('CLUSTER', 'INFO')
    return typeof reply === 'string' ? reply : undefined
  } catch (error) {
    if (replyCodeOf(error) !== undefined) return undefined
    throw error
  }
}
