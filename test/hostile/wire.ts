/** A client that sends any bytes at all and keeps what comes back, so that it can be compared byte for byte. */
import { type Socket, createConnection } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'

export type Bytes = string | Buffer

/** Strings are latin1: a character per byte. */
export const toBuffer = (bytes: Bytes): Buffer =>
  typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes

/** A command as clients send it; each word is latin1. */
export function command(...words: readonly Bytes[]): Buffer {
  const parts = words.flatMap((word) => {
    const bytes = toBuffer(word)
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]
  })
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts])
}

const keptBytesMax = 4 * 1024 * 1024

export class Wire {
  readonly socket: Socket
  isClosed = false
  wasReset = false
  byteCount = 0
  private readonly chunks: Buffer[] = []
  private joined: Buffer | undefined

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.byteCount += chunk.length
      if (this.byteCount - chunk.length > keptBytesMax) return
      this.chunks.push(chunk)
      this.joined = undefined
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET') this.wasReset = true
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => {
      this.isClosed = true
    })
  }

  /** What came, of very much only the beginning. */
  get received(): Buffer {
    this.joined ??= Buffer.concat(this.chunks)
    return this.joined
  }

  text(): string {
    return this.received.toString('latin1')
  }

  send(bytes: Bytes): void {
    if (this.socket.writable) this.socket.write(toBuffer(bytes))
  }

  /** Sends each part in a packet of its own, as far as the kernel lets us. */
  async sendParts(parts: Iterable<Bytes>): Promise<void> {
    for (const part of parts) {
      this.send(part)
      await nextTurn()
    }
  }
}

export function open(port: number): Promise<Wire> {
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  return new Promise((resolve, reject) => {
    socket.once('error', reject).once('connect', () => {
      socket.off('error', reject)
      resolve(new Wire(socket))
    })
  })
}

/** One command on a connection of its own, its reply as latin1. For questions to servers, not for load. */
export async function ask(port: number, ...words: readonly Bytes[]): Promise<string> {
  const wire = await open(port)
  wire.send(command(...words))
  wire.socket.end()
  await new Promise((resolve) => wire.socket.once('close', resolve))
  return wire.text()
}
