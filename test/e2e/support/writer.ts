/**
 * Runs in a pod: an app that writes unique keys through its sidecar without a pause, remembers which writes were
 * acknowledged and when none was, and reads all of them back when asked. One file without imports of ours, so
 * that it is an image with Node. `GET /stats`, `GET /verify`, `POST /start`, `POST /stop`, and `POST /mark`, from which on the
 * longest gap is counted.
 */
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'

const redisPort = 16379
const httpPort = 8080
const writersCount = 4
const paceMs = 2
const stallMinMs = 100
const retryMs = 20
const readBatchCount = 500

/** Replies by the simplest reading of RESP that serves SET and MGET. */
class Connection {
  private readonly socket: Socket
  private buffer = Buffer.alloc(0)
  private waiting: { resolve(value: unknown): void; reject(error: Error): void } | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.buffer = Buffer.concat([this.buffer, chunk])
      const parsed = parse(this.buffer, 0)
      if (parsed === undefined) return
      this.buffer = this.buffer.subarray(parsed.end)
      const { waiting } = this
      this.waiting = undefined
      if (parsed.value instanceof Error) waiting?.reject(parsed.value)
      else waiting?.resolve(parsed.value)
    })
    const fail = (error: Error) => {
      this.waiting?.reject(error)
      this.waiting = undefined
    }
    socket.on('error', fail)
    socket.on('close', () => fail(new Error('connection closed')))
  }

  static open(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: redisPort, host: '127.0.0.1', noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => resolve(new Connection(socket)))
    })
  }

  call(...parts: readonly string[]): Promise<unknown> {
    const text = parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')
    return new Promise((resolve, reject) => {
      if (this.socket.destroyed) return reject(new Error('connection closed'))
      this.waiting = { resolve, reject }
      this.socket.write(`*${parts.length}\r\n${text}`)
    })
  }

  close(): void {
    this.socket.destroy()
  }
}

interface Parsed {
  readonly value: unknown
  readonly end: number
}

function parse(bytes: Buffer, start: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const line = bytes.toString('utf8', start + 1, lineEnd)
  const after = lineEnd + 2
  switch (String.fromCharCode(bytes[start] ?? 0)) {
    case '+':
    case ':':
      return { value: line, end: after }
    case '-':
      return { value: new Error(line), end: after }
    case '$': {
      const length = Number(line)
      if (length < 0) return { value: null, end: after }
      if (bytes.length < after + length + 2) return undefined
      return { value: bytes.toString('utf8', after, after + length), end: after + length + 2 }
    }
    case '*': {
      const values: unknown[] = []
      let end = after
      for (let index = 0; index < Number(line); index += 1) {
        const item = parse(bytes, end)
        if (item === undefined) return undefined
        values.push(item.value)
        end = item.end
      }
      return { value: values, end }
    }
    default:
      throw new Error(`no reply: ${line}`)
  }
}

const acked: string[] = []
const errors = new Map<string, number>()
const stalls: { readonly fromMs: number; readonly toMs: number }[] = []
let lastAckMs = 0
let isWriting = true
/** Between two acknowledgements to whomever, by a clock that nobody sets. */
let longestGapMs = 0
let lastAckAt: number | undefined

function acknowledged(key: string): void {
  const now = Date.now()
  if (lastAckMs !== 0 && now - lastAckMs >= stallMinMs)
    stalls.push({ fromMs: lastAckMs, toMs: now })
  lastAckMs = now
  const at = performance.now()
  longestGapMs = Math.max(longestGapMs, at - (lastAckAt ?? at))
  lastAckAt = at
  acked.push(key)
}

const pause = (ms: number) => new Promise<void>((done) => void setTimeout(done, ms))

async function write(writer: number): Promise<never> {
  let connection: Connection | undefined
  for (let count = 0; ; count += 1) {
    if (!isWriting) {
      lastAckMs = 0
      lastAckAt = undefined
      await pause(retryMs)
      continue
    }
    const key = `write:${writer}:${count}`
    try {
      connection ??= await Connection.open()
      const reply = await connection.call('SET', key, key)
      if (reply !== 'OK') throw new Error(`SET was answered ${String(reply)}`)
      acknowledged(key)
      await pause(paceMs)
    } catch (error) {
      const text = (error instanceof Error ? error.message : String(error)).slice(0, 120)
      errors.set(text, (errors.get(text) ?? 0) + 1)
      connection?.close()
      connection = undefined
      await pause(retryMs)
    }
  }
}

async function verify(): Promise<object> {
  const expected = acked.slice()
  const missing: string[] = []
  const connection = await Connection.open()
  try {
    for (let start = 0; start < expected.length; start += readBatchCount) {
      const keys = expected.slice(start, start + readBatchCount)
      const values = (await connection.call('MGET', ...keys)) as unknown[]
      missing.push(...keys.filter((key, index) => values[index] !== key))
    }
  } finally {
    connection.close()
  }
  return { acked: expected.length, missingCount: missing.length, missing: missing.slice(0, 20) }
}

createServer((request, response) => {
  const answer = async (): Promise<object> => {
    if (request.url === '/verify') return verify()
    if (request.url === '/mark') longestGapMs = 0
    else if (request.method === 'POST') isWriting = request.url === '/start'
    const gapMs = Math.max(longestGapMs, performance.now() - (lastAckAt ?? performance.now()))
    const counted = { acked: acked.length, errors: Object.fromEntries(errors) }
    return { ...counted, stalls, lastAckMs, longestGapMs: Math.round(gapMs * 10) / 10 }
  }
  answer().then(
    (value) => response.end(JSON.stringify(value)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  )
}).listen(httpPort)

for (let writer = 0; writer < writersCount; writer += 1) void write(writer)
process.on('SIGTERM', () => process.exit(0))
