/**
 * A connection to one server that asks for its role, its identity and who follows whom, and does nothing else: it never
 * writes and never changes a role. Kept open between questions; opened again when it failed.
 */
import { UpstreamError } from '../../common/errors.ts'
import { membersLearntMax } from '../../common/limits.ts'
import type { Facts, Observation } from './choose-primary.ts'
import { Link, type LinkOptions } from './link.ts'
import { type Reply, ReplyError } from './reply.ts'
import { parseReplicationInfo } from './replication/replication-info.ts'

export type ProbeOptions = LinkOptions

export class Probe {
  private readonly options: ProbeOptions
  private link: Link | undefined
  private isClosed = false

  constructor(options: ProbeOptions) {
    this.options = options
  }

  /** Never throws: a server that cannot be asked is an observation too. */
  async observe(): Promise<Observation> {
    const { address } = this.options
    try {
      const link = this.link?.isOpen === true ? this.link : await this.open()
      const [role, server, replication] = await link.ask(questions, this.options.timeoutMs)
      return { ...address, ...interpret(role, server, replication) }
    } catch (error) {
      this.drop()
      return { ...address, kind: 'unreachable', reason: reasonOf(error) }
    }
  }

  close(): void {
    this.isClosed = true
    this.drop()
  }

  private drop(): void {
    this.link?.close()
    this.link = undefined
  }

  private async open(): Promise<Link> {
    this.link = await Link.open(this.options)
    if (this.isClosed) this.link.close()
    return this.link
  }
}

const questions = [['ROLE'], ['INFO', 'server'], ['INFO', 'replication']]

/** What ROLE and INFO say. @throws UpstreamError RM_PROBE_FAILED if the role cannot be understood */
export function interpret(
  role: Reply | undefined,
  server: Reply | undefined,
  replication?: Reply,
): Facts {
  if (role instanceof ReplyError) {
    throw new UpstreamError('RM_PROBE_FAILED', `the server refuses ROLE: ${role.message}`)
  }
  const word = Array.isArray(role) ? (role as readonly Reply[])[0] : undefined
  if (word !== 'master' && word !== 'slave') {
    throw new UpstreamError('RM_PROBE_FAILED', 'the server’s answer to ROLE is not understood')
  }
  const runId = typeof server === 'string' ? /^run_id:(\w+)/m.exec(server)?.[1] : undefined
  const info =
    typeof replication === 'string'
      ? parseReplicationInfo(replication, membersLearntMax)
      : undefined
  return {
    kind: word === 'master' ? 'master' : 'replica',
    ...(runId !== undefined && { runId }),
    ...(info && { info }),
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
