/**
 * Connections to the server that is about to become the primary, opened before it is: logged in, known to be of the
 * recorded process, and carrying no client’s command. Whoever takes them asks for the role first, in front of all else.
 */
import { setImmediate as turnEnd, setTimeout as delay } from 'node:timers/promises'
import { handoverPrepareMs } from '../../common/limits.ts'
import type { Reply } from '../resp/decode.ts'
import { textOf } from '../resp/decode.ts'
import { encodeCommand } from '../resp/encode.ts'
import { retryDelayMs } from './backoff.ts'
import { type Connected, type Target, connectServer, roleIn } from './connect.ts'
import type { ProtocolVersion } from './connection.ts'
import type { OwnConnections } from './own-connections.ts'
import type { Reserve } from './reserve.ts'
import type { ServerModules } from './server-modules.ts'
import type { SharedLane } from './shared-lane.ts'
import { isSameTarget } from './target.ts'

export class Ahead {
  private readonly modules: ServerModules
  private target: Target | undefined
  private abort = new AbortController()
  private opened: Connected[] = []
  /** Resolves when all are open, or none is wanted any more. */
  private opening: Promise<unknown> = Promise.resolve()
  /** Has the process know all scripts, once. */
  private taught: Promise<void> | undefined

  constructor(modules: ServerModules) {
    this.modules = modules
  }

  /**
   * Opens one connection per entry of `wanted`, unless it did so already; `target.role` must allow for a replica.
   * Resolves when they are open, or after `handoverPrepareMs`.
   */
  async begin(target: Target, wanted: readonly ProtocolVersion[]): Promise<void> {
    if (!isSameTarget(this.target, target)) {
      this.end()
      this.target = target
      this.opening = this.openAll(target, wanted, this.abort.signal)
    }
    const patience = new AbortController()
    const elapsed = delay(handoverPrepareMs, undefined, { signal: patience.signal }).catch(
      () => undefined,
    )
    await Promise.race([this.opening, elapsed])
    patience.abort()
  }

  /** Those that are open, if they lead where `target` does; all others are ended. */
  take(target: Target | undefined): readonly Connected[] {
    const isIt = this.target !== undefined && leadsTo(this.target, target)
    const taken = isIt ? this.opened.filter(({ connection }) => !connection.isClosed) : []
    if (isIt) this.opened = []
    this.end()
    return taken
  }

  end(): void {
    this.abort.abort()
    this.abort = new AbortController()
    this.target = undefined
    this.taught = undefined
    for (const { connection } of this.opened) connection.destroy()
    this.opened = []
  }

  /** One in each turn: replies that everybody waits for come in between. */
  private async openAll(
    target: Target,
    wanted: readonly ProtocolVersion[],
    signal: AbortSignal,
  ): Promise<void> {
    const opened: Promise<void>[] = []
    for (const protocol of wanted) {
      if (signal.aborted) return
      opened.push(this.open(target, protocol, signal))
      await turnEnd()
    }
    await Promise.all(opened)
  }

  /** Never rejects: what cannot be opened is tried again until this ends. */
  private async open(
    target: Target,
    protocol: ProtocolVersion,
    signal: AbortSignal,
  ): Promise<void> {
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const connected = await this.connect(target, protocol, signal)
        if (!signal.aborted) this.opened.push(connected)
        else connected.connection.destroy()
        return
      } catch {
        // Whoever needs it connects in the ordinary way, and says then what is wrong.
      }
      const waitMs = retryDelayMs(attempt, this.modules.random)
      await delay(waitMs, undefined, { signal }).catch(() => undefined)
    }
  }

  private async connect(
    target: Target,
    protocol: ProtocolVersion,
    signal: AbortSignal,
  ): Promise<Connected> {
    const { modules } = this
    // What is heard ahead says nothing of the primary.
    const heard = { bytes: 0 }
    const connected = await connectServer(target, protocol, { ...modules, heard }, signal)
    const patience = AbortSignal.any([signal, AbortSignal.timeout(target.connectTimeoutMs)])
    const taught = (this.taught ??= modules.scripts.teach(connected.connection, patience))
    try {
      await taught
    } catch (error) {
      if (this.taught === taught) this.taught = undefined
      connected.connection.destroy()
      throw error
    }
    return connected
  }
}

/** Those who use the connections to a server. */
export interface ServerUsers {
  readonly lanes: readonly SharedLane[]
  readonly reserve: Reserve
  readonly own: OwnConnections
}

/**
 * Gives connections that were opened ahead to those who use them. Each asks whether the server is a primary, and what
 * is sent behind goes out at once: if it is none the connection ends before a reply to that is believed.
 */
export function handOut(opened: readonly Connected[], users: ServerUsers): void {
  const { lanes, reserve, own } = users
  const rest = [...opened]
  for (const { connection } of rest) {
    connection.demand(roleQuestion, isPrimary)
  }
  const take = (protocol: ProtocolVersion) => {
    const index = rest.findIndex(({ connection }) => connection.protocol === protocol)
    return index < 0 ? undefined : rest.splice(index, 1)[0]?.connection
  }
  for (const lane of lanes) {
    const connection = lane.isReady ? undefined : take(lane.protocol)
    if (connection !== undefined) lane.attach(connection)
  }
  const aside = take(2)
  if (aside !== undefined) reserve.use(aside)
  for (const { connection } of rest) own.keep(connection)
}

const roleQuestion = encodeCommand(['INFO', 'replication'])

function isPrimary(reply: Reply): boolean {
  return roleIn(textOf(reply)) === 'master'
}

function leadsTo(ahead: Target, target: Target | undefined): boolean {
  if (target === undefined) return false
  const { host, port, runId } = target.server
  const { server } = ahead
  const isServer = server.host === host && server.port === port
  const isProcess = runId === undefined || runId === server.runId
  const same: Target = { ...ahead, server: target.server, role: target.role }
  return isServer && isProcess && isSameTarget(same, target)
}
