/** A connection whose replies are text (a character per byte), with what two servers cannot give alike taken out. */
import { type Socket, createConnection } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

/**
 * What is not compared, because it cannot be equal:
 * - ids of connections (`CLIENT ID`, `HELLO`): every server counts its own, and the sidecar its clients’;
 * - the time to live of a key that was given a date: the two runs are at different times;
 * - ids of stream entries that a server made of its clock.
 * Its length in digits is the same or taken out as well.
 */
const normalisations: readonly (readonly [RegExp, string])[] = [
  [/(\$2\r\nid\r\n|\$9\r\nclient-id\r\n):\d+/g, '$1:<id>'],
  [/:2\d{9}(\d{3})?\r\n/g, ':<time to live>\r\n'],
  [/1[78]\d{11}-\d+/g, '<entry>'],
]

export function normalised(text: string): string {
  let result = text
  for (const [pattern, replacement] of normalisations) {
    result = result.replace(pattern, replacement)
  }
  return result
}

const messageStarts = ['>3\r\n$7\r\nmessage\r\n', '>4\r\n$8\r\npmessage\r\n'] as const

/**
 * With all messages behind the replies, in their own order: a server of a cluster learns of what was published at
 * another a little later, which may be behind replies of the client that published.
 */
export function withMessagesLast(text: string): string {
  let replies = ''
  let messages = ''
  for (let at = 0; at < text.length; ) {
    const starts = messageStarts.map((start) => text.indexOf(start, at))
    const [start] = starts.filter((found) => found >= 0).toSorted((a, b) => a - b)
    if (start === undefined) return replies + text.slice(at) + messages
    replies += text.slice(at, start)
    at = endOfPush(text, start)
    messages += text.slice(start, at)
  }
  return replies + messages
}

/** Of a push of bulk strings. */
function endOfPush(text: string, start: number): number {
  let at = text.indexOf('\n', start) + 1
  for (let left = Number(text[start + 1]); left > 0 && at > 0; left -= 1) {
    const line = text.indexOf('\n', at) + 1
    at = line + Number(text.slice(at + 1, line - 2)) + 2
  }
  return Math.min(at, text.length)
}

export function connectTo(port: number): Promise<FuzzClient> {
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: false })
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(new FuzzClient(socket))).once('error', reject)
  })
}

export class FuzzClient {
  isClosed = false
  /** All that came since `take`. */
  text = ''
  private readonly socket: Socket
  private wake: (() => void) | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      this.text += text
      this.wake?.()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosed = true
      this.wake?.()
    })
  }

  /** Everything since the last call. */
  take(): string {
    const { text } = this
    this.text = ''
    return text
  }

  /** Sends the bytes in pieces, each of which has the time to be seen as one. */
  async send(bytes: Buffer, cuts: readonly number[]): Promise<void> {
    const ends = cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b)
    let start = 0
    for (const end of [...ends, bytes.length]) {
      if (this.isClosed) return
      if (end === start && end !== bytes.length) continue
      this.socket.write(bytes.subarray(start, end))
      start = end
      if (start < bytes.length) await turn()
    }
  }

  /** Waits until `isTrue`, which is asked whenever something came; false when the time is up. */
  async until(isTrue: () => boolean, timeoutMs: number): Promise<boolean> {
    if (isTrue()) return true
    let timer: NodeJS.Timeout | undefined
    const isFound = await new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(isTrue()), timeoutMs)
      this.wake = () => {
        if (isTrue()) resolve(true)
      }
    })
    clearTimeout(timer)
    this.wake = undefined
    return isFound
  }

  destroy(): void {
    this.socket.destroy()
  }
}
