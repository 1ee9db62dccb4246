/**
 * What servers of a cluster say when they did not run a command: that another has its keys, or that nobody can serve
 * them at present. Then nothing has happened, and the command may be sent again.
 */
import { defaultRetries, retryDelayMaxMs } from '../../../common/limits.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { SessionContext } from '../context.ts'
import { refusalKind } from '../routed/refusal.ts'
import type { Session } from '../session.ts'
import { shardedBackend } from './sharded.ts'

/** Where the command is to go next. */
export interface Redirect {
  /** Undefined: to who has its keys by then. */
  readonly server: ServerConnections | undefined
  /** It takes it only after ASKING. */
  readonly isAsking: boolean
  /** How often the command was sent in vain, and when it was first. */
  readonly attempt: number
  readonly sinceMs: number
}

export interface Refusal {
  readonly kind: 'moved' | 'ask' | 'later'
  readonly slot: number
  readonly host: string
  readonly port: number
}

const longestRefusal = 512

/** Reads an error line of a server, CRLF and all; undefined: it is none that has the command sent again. */
export function readRefusal(line: Buffer): Refusal | undefined {
  const text = line.toString('latin1', 1, Math.min(line.length, longestRefusal))
  const match = /^(MOVED|ASK) (\d{1,5}) (\S*):(\d{1,5})\r\n/.exec(text)
  if (match !== null) {
    const [, kind, slot, host = '', port] = match
    return {
      kind: kind === 'ASK' ? 'ask' : 'moved',
      slot: Number(slot),
      host,
      port: Number(port),
    }
  }
  const kind = refusalKind(line, 0, line.length)
  return kind === 'tryAgain' || kind === 'clusterDown' ? later : undefined
}

/** What is said of a connection that ended: who has the keys by then is found out anew. */
export const later: Refusal = { kind: 'later', slot: -1, host: '', port: 0 }

/**
 * Has the session go on after a command was refused, which was put back to the start of its input: at once where it
 * was told whither, else a little later. False: it was refused too often.
 */
export function redirect(session: Session, refusal: Refusal): boolean {
  const { pinning, context } = session
  const attempt = (pinning.redirect?.attempt ?? 0) + 1
  const now = context.clock.monotonicMs()
  const sinceMs = pinning.redirect?.sinceMs ?? now
  const { maxRetries, retryDelayMs } = retriesOf(context)
  const server = serverToldOf(session, refusal)
  if (attempt > maxRetries || now - sinceMs > context.timing.holdTimeoutMs) return false
  const isAsking = refusal.kind === 'ask' && server !== undefined
  pinning.redirect = { server, isAsking, attempt, sinceMs }
  session.wait = 'outside'
  // Who is told the way once need not wait; who is sent to and fro must.
  const isWayKnown = server !== undefined && attempt === 1
  const delayMs = isWayKnown ? 0 : delayOf(context, attempt, retryDelayMs)
  setTimeout(() => {
    if (!session.isClosed && session.wait === 'outside') session.resume()
  }, delayMs)
  return true
}

/**
 * Whom a server named, unless that one cannot be reached, or was found to have no keys and left: then who has them is
 * looked up again, so that nobody waits for a server that has gone meanwhile.
 */
export function serverNamed({
  redirect: named,
}: Session['pinning']): ServerConnections | undefined {
  const server = named?.server
  if (server === undefined || server.isReady) return server
  return server.failure === undefined && server.address !== undefined ? server : undefined
}

/** Learns from a refusal; whom to ask next, if that was told. */
export function serverToldOf(session: Session, refusal: Refusal): ServerConnections | undefined {
  const backend = shardedBackend(session.context)
  const { kind, slot, port } = refusal
  // A node that does not know its own address leaves it out: it is the one that was asked.
  const host = refusal.host === '' ? hostOf(session.pinning.server) : refusal.host
  if (kind === 'moved') return backend?.onMoved(slot, { host, port })
  if (kind === 'ask') return backend?.onAsk({ host, port }, slot)
  backend?.lookAgain()
  return undefined
}

function hostOf({ address = '' }: ServerConnections): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
}

function retriesOf({ upstream }: SessionContext) {
  return upstream.retries ?? defaultRetries
}

function delayOf({ random }: SessionContext, attempt: number, firstMs: number): number {
  const wholeMs = Math.min(retryDelayMaxMs, firstMs * 2 ** (attempt - 1))
  return wholeMs * (0.5 + 0.5 * random())
}
