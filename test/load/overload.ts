/**
 * L6: more commands than can be served, by a schedule that does not wait for replies. Latency counts from when a
 * command was due, so that nothing is hidden by a generator that falls behind.
 */
import type { Socket } from 'node:net'
import { encodeCommand } from '../support/servers.ts'
import { type RigOptions, openMany, percentile, startLoadRig } from './rig.ts'

const value = 'x'.repeat(64)
const get = encodeCommand(['GET', 'k'])
/** Keeps the server busy long enough for it, and not the generator, to be what is short. */
const slowScript = `for i = 1, 10000 do end return '${value}'`
const replyBytes = `$64\r\n${value}\r\n`.length
const dash = '-'.charCodeAt(0)
const lineFeed = '\n'.charCodeAt(0)

export interface Load {
  readonly offeredPerSecond: number
  readonly goodPerSecond: number
  readonly refusedPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly refusedP99Ms: number
}

/** One connection: what is due on it, oldest first, and how its replies are told apart. */
class Lane {
  readonly socket: Socket
  private readonly due: number[] = []
  private head = 0
  private missing = 0
  private isError = false
  private readonly request: Buffer
  private readonly onReply: (dueMs: number, isError: boolean) => void

  constructor(socket: Socket, request: string, onReply: (dueMs: number, isError: boolean) => void) {
    this.socket = socket
    this.request = Buffer.from(request)
    this.onReply = onReply
    socket.on('data', (chunk: Buffer) => this.read(chunk))
  }

  send(dueMs: number): void {
    this.due.push(dueMs)
    this.socket.write(this.request)
  }

  private read(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.missing === 0) {
        this.isError = chunk[at] === dash
        this.missing = this.isError ? -1 : replyBytes
      }
      if (this.isError) {
        const end = chunk.indexOf(lineFeed, at)
        if (end < 0) return
        at = end + 1
        this.missing = 0
      } else {
        const taken = Math.min(this.missing, chunk.length - at)
        at += taken
        this.missing -= taken
      }
      if (this.missing === 0) this.done()
    }
  }

  private done(): void {
    const dueMs = this.due[this.head] as number
    this.head += 1
    if (this.head > 4096) this.due.splice(0, this.head)
    if (this.head > this.due.length) this.head = 0
    this.onReply(dueMs, this.isError)
  }
}

/** The most that is served when every connection waits for its reply. */
async function measurePeak({ port, connections, request, seconds }: Target): Promise<number> {
  const sockets = await openMany(port, connections)
  let count = 0
  const lanes = sockets.map((socket) => {
    const lane: Lane = new Lane(socket, request, () => {
      count += 1
      lane.send(0)
    })
    return lane
  })
  for (const lane of lanes) lane.send(0)
  await elapsed(seconds * 250)
  const from = count
  const start = performance.now()
  await elapsed(seconds * 1000)
  const perSecond = ((count - from) / (performance.now() - start)) * 1000
  for (const socket of sockets) socket.destroy()
  return perSecond
}

async function offer(target: Target, perSecond: number): Promise<Load> {
  const { port, connections, request, seconds } = target
  const sockets = await openMany(port, connections)
  const good: number[] = []
  const refused: number[] = []
  const lanes = sockets.map(
    (socket) =>
      new Lane(socket, request, (dueMs, isError) => {
        const latencyMs = performance.now() - dueMs
        if (isError) refused.push(latencyMs)
        else good.push(latencyMs)
      }),
  )
  const start = performance.now()
  let sent = 0
  let next = 0
  while (performance.now() - start < seconds * 1000) {
    const dueCount = Math.floor(((performance.now() - start) * perSecond) / 1000)
    for (; sent < dueCount; sent += 1) {
      const lane = lanes[next] as Lane
      next = (next + 1) % lanes.length
      lane.send(start + (sent / perSecond) * 1000)
    }
    await elapsed(1)
  }
  const spent = (performance.now() - start) / 1000
  const [goodCount, refusedCount] = [good.length, refused.length]
  for (const socket of sockets) socket.destroy()
  const served = Float64Array.from(good)
  return {
    offeredPerSecond: Math.round(sent / spent),
    goodPerSecond: Math.round(goodCount / spent),
    refusedPerSecond: Math.round(refusedCount / spent),
    p50Ms: percentile(served, 0.5),
    p99Ms: percentile(served, 0.99),
    refusedP99Ms: percentile(Float64Array.from(refused), 0.99),
  }
}

interface Target {
  readonly port: number
  readonly connections: number
  readonly request: string
  readonly seconds: number
}

export interface OverloadOptions {
  readonly connections: number
  readonly seconds: number
  readonly factors: readonly number[]
  /** The server, by a slow script, is what is short; else it is the CPU of all who take part. */
  readonly isSlowServer?: boolean
  /** Straight to the server, for comparison. */
  readonly isDirect?: boolean
  readonly rig?: RigOptions
}

export async function overload(options: OverloadOptions) {
  const { connections, seconds, factors } = options
  const rig = await startLoadRig(options.rig)
  try {
    await rig.server.command('SET', 'k', value)
    const sha = (await rig.server.command('SCRIPT', 'LOAD', slowScript)).split('\r\n')[1] ?? ''
    const request = options.isSlowServer === true ? encodeCommand(['EVALSHA', sha, '0']) : get
    const port = options.isDirect === true ? rig.server.port : rig.port
    const target: Target = { port, connections, request, seconds }
    const peakPerSecond = Math.round(await measurePeak(target))
    const loads: Record<string, Load> = {}
    for (const factor of factors) loads[`x${factor}`] = await offer(target, peakPerSecond * factor)
    const afterwards = await offer({ ...target, seconds: Math.min(2, seconds) }, peakPerSecond / 2)
    const residentMegabytes = Math.round(rig.residentBytes() / 1024 / 1024)
    return { peakPerSecond, loads, afterwards, residentMegabytes }
  } finally {
    await rig.stop()
  }
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
