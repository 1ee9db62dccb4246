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
