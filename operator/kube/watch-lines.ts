/** A watch's body, line by line: bytes in, checked events out. Nothing that does not parse is passed over. */
import { ProxyError } from '../../common/errors.ts'
import { watchLineBytesMax } from '../../common/limits.ts'
import type { KubeObject, KubeStatus } from './objects.ts'

export type WatchEvent<T extends KubeObject> =
  | { readonly kind: 'put'; readonly object: T }
  | { readonly kind: 'removed'; readonly object: T }
  | { readonly kind: 'bookmark'; readonly resourceVersion: string }
  /** The watch is over: the version is too old (410), or the server failed. */
  | { readonly kind: 'failed'; readonly status: KubeStatus }

/** Collects chunks; complexity linear in their bytes. */
export class WatchDecoder<T extends KubeObject> {
  private parts: Buffer[] = []
  private size = 0

  /** @throws ProxyError RM_API if a line is too long, is no JSON, or is no event */
  push(chunk: Buffer): WatchEvent<T>[] {
    const events: WatchEvent<T>[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(0x0a, start)
      if (end < 0) break
      const line = this.take(chunk.subarray(start, end))
      if (line !== '') events.push(parseEvent<T>(line))
      start = end + 1
    }
    this.hold(chunk.subarray(start))
    return events
  }

  private take(last: Buffer): string {
    this.hold(last)
    const line = Buffer.concat(this.parts, this.size).toString('utf8').trim()
    this.parts = []
    this.size = 0
    return line
  }

  private hold(part: Buffer): void {
    if (part.length === 0) return
    this.parts.push(part)
    this.size += part.length
    if (this.size > watchLineBytesMax) {
      throw broken(`a line has more than ${watchLineBytesMax} bytes`)
    }
  }
}

function parseEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw broken('a line is not JSON', cause)
  }
  if (typeof value !== 'object' || value === null || !('type' in value) || !('object' in value)) {
    throw broken('a line is not an event')
  }
  const { type, object } = value
  if (type === 'ERROR') return { kind: 'failed', status: object as KubeStatus }
  const resourceVersion = (object as Partial<KubeObject> | null)?.metadata?.resourceVersion
  if (resourceVersion === undefined) throw broken('an event has no resourceVersion')
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'put', object: object as T }
    case 'DELETED':
      return { kind: 'removed', object: object as T }
    case 'BOOKMARK':
      return { kind: 'bookmark', resourceVersion }
    default:
      throw broken(`an event has the unknown type ${String(type)}`)
  }
}

function broken(what: string, cause?: unknown): ProxyError {
  return new ProxyError('RM_API', `the watch cannot be read: ${what}`, {
    retryable: true,
    ...(cause !== undefined && { cause }),
  })
}
