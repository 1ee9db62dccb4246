/** How a server is set up to protect the data: asked now and then, for it changes by our own doing in the main. */
import { guardReadMs, guardRefusedMs } from '../../common/limits.ts'
import { type GuardFacts, isReplicationUser } from '../controller/observation.ts'
import { type ServerConnection, type ServerTarget, replyCodeOf } from './connection.ts'
import { renamed } from './names.ts'

/** Of one connection. */
export class GuardReader {
  private readonly target: ServerTarget
  private last: { readonly facts: GuardFacts | undefined; readonly atMs: number } | undefined
  private refusal: { readonly why: string; readonly atMs: number } | undefined
  /** Rises with each change: what was asked for before it may be of before it. */
  private changes = 0

  constructor(target: ServerTarget) {
    this.target = target
  }

  /** They are read at the next look. */
  changed(): void {
    this.changes += 1
    this.last = this.last && { ...this.last, atMs: Number.NEGATIVE_INFINITY }
  }

  /** A command that sets up replication users was not carried out. */
  refused(error: unknown, command: string, atMs: number): void {
    const why = this.why(error, command)
    if (why !== undefined) this.refusal = { why, atMs }
    this.changed()
  }

  /**
   * What is known, after reading it where it is due. A server that does not tell is no failure.
   * @throws ProbeError if the connection fails
   */
  async read(connection: ServerConnection, nowMs: number): Promise<GuardFacts | undefined> {
    if (this.last === undefined || nowMs - this.last.atMs >= guardReadMs) {
      const { changes } = this
      const facts = await this.ask(connection)
      const atMs = changes === this.changes ? nowMs : Number.NEGATIVE_INFINITY
      this.last = { facts: facts === 'busy' ? this.last?.facts : facts, atMs }
    }
    const { facts } = this.last
    if (this.refusal === undefined || facts === undefined) return facts
    if (nowMs - this.refusal.atMs < guardRefusedMs) return { ...facts, refused: this.refusal.why }
    this.refusal = undefined
    return facts
  }

  private async ask(connection: ServerConnection): Promise<GuardFacts | 'busy'> {
    const [source, minimum, users] = await Promise.allSettled([
      connection.ask('CONFIG', 'GET', 'masteruser'),
      connection.ask('CONFIG', 'GET', 'min-replicas-*'),
      connection.ask('ACL', 'USERS'),
    ])
    const failures = [
      { result: source, command: 'CONFIG GET' },
      { result: minimum, command: 'CONFIG GET' },
      { result: users, command: 'ACL USERS' },
    ].flatMap(({ result, command }) => {
      return result.status === 'rejected' ? [{ reason: result.reason as unknown, command }] : []
    })
    for (const { reason } of failures) if (replyCodeOf(reason) === undefined) throw reason
    const refusals = failures.map(({ reason, command }) => this.why(reason, command))
    if (refusals.includes(undefined)) return 'busy'
    const login = settings(source)
    const numbers = settings(minimum)
    const refused =
      refusals[0] ??
      (login.has('masteruser') ? undefined : 'it is too old to log in at its primary as a user')
    return {
      sourceUser: login.get('masteruser') ?? '',
      replicationUsers: names(users).filter(isReplicationUser),
      minReplicas: Number(numbers.get('min-replicas-to-write') ?? -1),
      minReplicasMaxLagSeconds: Number(numbers.get('min-replicas-max-lag') ?? 0),
      ...(refused !== undefined && { refused }),
    }
  }

  /** What is missing, as a sentence; undefined if the server would do it another time. */
  private why(error: unknown, command: string): string | undefined {
    const reply = replyCodeOf(error) === undefined && error instanceof Error ? error.cause : error
    const code = replyCodeOf(reply)
    const [name = '', ...words] = command.split(' ')
    const shown = [renamed(name, this.target.commands), ...words].join(' ')
    if (code === 'NOPERM') {
      return `user ${this.target.credentials?.username ?? 'default'} may not run ${shown}`
    }
    if (code !== 'ERR' || !(reply instanceof Error)) return undefined
    return `it refuses ${shown}: ${reply.message}`
  }
}

/** The reply of `CONFIG GET`: name, value, name, value … */
function settings(result: PromiseSettledResult<unknown>): ReadonlyMap<string, string> {
  const words = names(result)
  const found = new Map<string, string>()
  for (let at = 0; at + 1 < words.length; at += 2) found.set(words[at] ?? '', words[at + 1] ?? '')
  return found
}

function names(result: PromiseSettledResult<unknown>): readonly string[] {
  const reply = result.status === 'fulfilled' ? result.value : undefined
  return Array.isArray(reply) ? reply.map(String) : []
}
