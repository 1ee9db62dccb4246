/**
 * Whole replies as values, for the few that the sidecar reads itself: handshakes and checks. Not for the data path.
 * Maps become flat arrays, as RESP2 has them; strings are latin1.
 */

export type Reply =
  | { readonly kind: 'error'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'list'; readonly items: readonly Reply[] }
  | { readonly kind: 'null' }

const depthMax = 16

/** Decodes one reply that `ReplyScanner` found to be whole; undefined when it is nested absurdly. */
export function decodeReply(bytes: Buffer): Reply | undefined {
  return decodeAt(bytes, 0, 0)?.reply
}

/** The text of a reply, or nothing when it is of another kind. */
export function textOf(reply: Reply | undefined): string {
  return reply?.kind === 'text' || reply?.kind === 'error' ? reply.text : ''
}

interface Decoded {
  readonly reply: Reply
  readonly end: number
}

function decodeAt(bytes: Buffer, start: number, depth: number): Decoded | undefined {
  if (depth > depthMax) return undefined
  const lineEnd = bytes.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const type = String.fromCharCode(bytes[start] as number)
  const line = bytes.toString('latin1', start + 1, lineEnd)
  const after = lineEnd + 2
  if (type === '-') return { reply: { kind: 'error', text: line }, end: after }
  if (type === ':') return { reply: { kind: 'number', value: Number(line) }, end: after }
  if (type === '_') return { reply: { kind: 'null' }, end: after }
  if ('$!='.includes(type)) return decodeBulk(bytes, { type, length: Number(line), start: after })
  if ('*~%>'.includes(type)) {
    const count = Number(line) * (type === '%' ? 2 : 1)
    return decodeItems(bytes, { count, start: after, depth })
  }
  return { reply: { kind: 'text', text: line }, end: after }
}

function decodeBulk(
  bytes: Buffer,
  at: { readonly type: string; readonly length: number; readonly start: number },
): Decoded {
  if (at.length < 0) return { reply: { kind: 'null' }, end: at.start }
  const text = bytes.toString('latin1', at.start, at.start + at.length)
  const end = at.start + at.length + 2
  if (at.type === '!') return { reply: { kind: 'error', text }, end }
  return { reply: { kind: 'text', text: at.type === '=' ? text.slice(4) : text }, end }
}

function decodeItems(
  bytes: Buffer,
  at: { readonly count: number; readonly start: number; readonly depth: number },
): Decoded | undefined {
  if (at.count < 0) return { reply: { kind: 'null' }, end: at.start }
  const items: Reply[] = []
  let end = at.start
  for (let index = 0; index < at.count; index += 1) {
    const item = decodeAt(bytes, end, at.depth + 1)
    if (item === undefined) return undefined
    items.push(item.reply)
    end = item.end
  }
  return { reply: { kind: 'list', items }, end }
}
