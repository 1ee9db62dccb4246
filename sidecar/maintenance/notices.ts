/**
 * The messages by which client libraries learn of maintenance, as those of them read that know them: an array with the
 * kind, a sequence number, seconds where something is about to happen, and what is concerned. Pure.
 */
import { encodeBulk, encodeNumber } from '../resp/encode.ts'

/** What a client wants to be told as the address to go to. */
export const endpointTypes = [
  'internal-ip',
  'internal-fqdn',
  'external-ip',
  'external-fqdn',
  'none',
] as const

export type EndpointType = (typeof endpointTypes)[number]

/** Commands may wait longer than usual from now on, or not any more. */
export type StateNotice = 'MIGRATING' | 'MIGRATED' | 'FAILING_OVER' | 'FAILED_OVER'

/** To a client there is one shard: the sidecar. */
const shard = encodeBulk('1')

/** `ttlSeconds` is told with those that begin something: for how long commands may have to wait. */
export function encodeState(kind: StateNotice, sequence: number, ttlSeconds: number): Buffer {
  const begins = kind === 'MIGRATING' || kind === 'FAILING_OVER'
  const seconds = begins ? [encodeNumber(ttlSeconds)] : []
  return encodePush([encodeBulk(kind), encodeNumber(sequence), ...seconds, shard])
}

/** `endpoint`: `host:port`, or null for the address that the client has connected to. */
export function encodeMoving(
  sequence: number,
  ttlSeconds: number,
  endpoint: string | null,
): Buffer {
  const target = endpoint === null ? Buffer.from('_\r\n') : encodeBulk(endpoint)
  const numbers = [encodeNumber(sequence), encodeNumber(ttlSeconds)]
  return encodePush([encodeBulk('MOVING'), ...numbers, target])
}

function encodePush(items: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from(`>${items.length}\r\n`), ...items])
}

/**
 * Where a client is to connect again: the address at which it reached the sidecar, which it wants as a name or as an
 * address. Null: it knows by itself. Undefined: there is nothing that it could be told; libraries take a null that they
 * did not ask for, and an IPv6 address, for something else, and fail.
 */
export function endpointFor(
  type: EndpointType,
  socket: {
    readonly localAddress?: string | undefined
    readonly localPort?: number | undefined
    readonly servername?: unknown
  },
): string | null | undefined {
  if (type === 'none') return null
  const { localAddress, localPort, servername } = socket
  if (localAddress === undefined || localPort === undefined) return undefined
  const isName = type.endsWith('fqdn') && typeof servername === 'string' && servername !== ''
  const host = isName ? servername : localAddress.replace(/^::ffff:/, '')
  return host.includes(':') ? undefined : `${host}:${localPort}`
}
