/**
 * Errors by which a server says that it did not run a command, and that it is worth while to send it again: to another
 * server, or later. Only what begins a reply counts; the words are those of servers.
 */
import type { DataPlaneCounters } from '../../data-plane.ts'
import type { ServerAddress } from '../../route/backend.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'

export type RefusalKind =
  /** Another server has the slot. */
  | 'moved'
  /** Another server may have the key: it is to be asked once. */
  | 'ask'
  /** Keys of one command are apart while their slot is moved. */
  | 'tryAgain'
  /** The cluster does not serve the slot at present. */
  | 'clusterDown'
  | 'loading'
  /** A replica without its primary. */
  | 'masterDown'
  /** A write that came to a replica. */
  | 'readOnly'
  /** Its connection ended before it was sent. */
  | 'unsent'
  /** Its connection ended before the reply, and it only reads. */
  | 'lost'

/** Why a command is to be sent again, and what is known of how often that was tried. */
export interface Refusal {
  readonly kind: RefusalKind
  /** What the server said; of our own if it said nothing. */
  readonly error: Buffer
  /** Whom to ask next; undefined: whoever has its keys by then. */
  readonly server: ServerConnections | undefined
  /** Times that it was refused, this one included. */
  readonly count: number
  /** When it could be sent again first: it waits for what was in flight, which may take any time. Undefined: not yet. */
  readonly sinceMs: number | undefined
}

export interface Redirect {
  readonly slot: number
  readonly address: ServerAddress
}

/** Their whole words: a script may answer in the same first one when it has written. */
const words: readonly (readonly [RegExp, RefusalKind])[] = [
  [/^-MOVED \d/, 'moved'],
  [/^-ASK \d/, 'ask'],
  [/^-TRYAGAIN Multiple keys request during rehashing/, 'tryAgain'],
  [/^-CLUSTERDOWN (?:The cluster is down|Hash slot not served)/, 'clusterDown'],
  [/^-LOADING /, 'loading'],
  [/^-MASTERDOWN /, 'masterDown'],
  [/^-READONLY You can't write against a read only/, 'readOnly'],
]
const wordBytesMax = 64

/** What a server said; a connection that ended said nothing. */
const countedBy: Readonly<Partial<Record<RefusalKind, keyof DataPlaneCounters>>> = {
  moved: 'refusedMoved',
  ask: 'refusedAsk',
  tryAgain: 'refusedTryAgain',
  clusterDown: 'refusedClusterDown',
  loading: 'refusedByState',
  masterDown: 'refusedByState',
  readOnly: 'refusedByState',
}

export function countRefusal(counters: DataPlaneCounters, kind: RefusalKind): void {
  const name = countedBy[kind]
  if (name !== undefined) counters[name] += 1
}

/** What the error line in `bytes` from `start` on says; undefined: it is an answer like others. */
export function refusalKind(bytes: Buffer, start: number, end: number): RefusalKind | undefined {
  const head = bytes.toString('latin1', start, Math.min(end, start + wordBytesMax))
  for (const [word, kind] of words) if (word.test(head)) return kind
  return undefined
}

/**
 * Reads `-MOVED slot host:port` and `-ASK slot host:port`; a server that does not say where it is itself means the
 * host of whoever told (`fromHost`). Undefined when the line is malformed.
 */
export function readRedirect(line: string, fromHost: string): Redirect | undefined {
  const match = /^-(?:MOVED|ASK) (\d{1,5}) (\S{0,253}):(\d{1,5})\r\n$/.exec(line)
  if (match === null) return undefined
  const [, slot, host, port] = match
  const address = { host: host === '' ? fromHost : (host ?? ''), port: Number(port) }
  if (address.port < 1 || address.port > 65_535 || Number(slot) > 16_383) return undefined
  return { slot: Number(slot), address }
}
