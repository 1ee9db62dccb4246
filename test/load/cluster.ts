/**
 * What clients see of a cluster that changes under them: slots that move, primaries that hand over or die, a shard that
 * stands still. Each client counts up keys of its own, all over the slots, so that every lost or doubled command shows.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { standaloneConfig } from '../../common/contract/proxy-config.ts'
import type { Status } from '../../sidecar/admin/index.ts'
import { type RedisCluster, startCluster } from '../support/cluster.ts'
import { freePort, until } from '../support/servers.ts'
import { exchange, open, percentile } from './rig.ts'

const program = join(import.meta.dirname, '..', '..', 'cli', 'main.ts')
const keysPerClient = 50
const lineBytesMin = ':0\r\n'.length
const errorsShown = 10

interface Site {
  readonly cluster: RedisCluster
  readonly port: number
  readonly status: () => Promise<Status>
  stop(): Promise<void>
}

async function startSite(nodeTimeoutMs = 1000): Promise<Site> {
  const cluster = await startCluster({
    primaries: 3,
    replicasPerPrimary: 1,
    nodeTimeoutMs,
  })
  const [port, adminPort] = [await freePort(), await freePort()]
  const config = standaloneConfig({
    members: cluster.nodes.map(({ host, port: nodePort }) => ({ host, port: nodePort })),
    listeners: [{ host: '127.0.0.1', port }],
    admin: { host: '127.0.0.1', port: adminPort },
  })
  const directory = cluster.nodes[0]?.server.directory ?? '.'
  const file = join(directory, 'cluster-sidecar.json')
  const upstream = { ...config.upstream, mode: 'cluster' }
  writeFileSync(file, JSON.stringify({ ...config, upstream }))
  const child = spawn(process.execPath, [program, 'sidecar', '--config', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const status = async () =>
    (await (await fetch(`http://127.0.0.1:${adminPort}/status`)).json()) as Status
  const stop = async () => {
    await end(child)
    await cluster.stop()
  }
  try {
    await until('the sidecar serves', async () => {
      try {
        return (await status()).primary.state === 'ok'
      } catch {
        return false
      }
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { cluster, port, status, stop }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/** A client that counts, one command at a time. */
class Counter {
  readonly times: number[] = []
  readonly errors: string[] = []
  /** By key: what was answered last, and how many commands got an error instead. */
  private readonly counts: number[] = Array.from({ length: keysPerClient }, () => 0)
  private readonly unknown: number[] = Array.from({ length: keysPerClient }, () => 0)
  /** Answers that do not follow from what was known. */
  readonly wrong: string[] = []
  private readonly socket: Socket
  private readonly name: string
  private isRunning = true
  private running: Promise<void> | undefined

  constructor(socket: Socket, name: string) {
    this.socket = socket
    this.name = name
  }

  start(): void {
    this.running = this.run()
  }

  async stop(): Promise<void> {
    this.isRunning = false
    await this.running
    this.socket.destroy()
  }

  get answered(): number {
    return this.times.length - this.errors.length
  }

  private async run(): Promise<void> {
    for (let turn = 0; this.isRunning; turn += 1) {
      const at = turn % keysPerClient
      const key = `${this.name}-${at}`
      const start = performance.now()
      const command = `*2\r\n$4\r\nINCR\r\n$${key.length}\r\n${key}\r\n`
      const reply = await exchange(this.socket, command, lineBytesMin)
      this.times.push(performance.now() - start)
      if (reply === '') throw new Error(`${this.name}: its connection was closed`)
      this.judge(at, reply)
    }
  }

  /** A command that got an error was run or not: the next answer tells. */
  private judge(at: number, reply: string): void {
    if (!reply.startsWith(':')) {
      this.errors.push(reply.trim())
      this.unknown[at] = (this.unknown[at] ?? 0) + 1
      return
    }
    const count = Number(reply.slice(1, -2))
    const least = (this.counts[at] ?? 0) + 1
    const most = least + (this.unknown[at] ?? 0)
    if (count < least || count > most) {
      this.wrong.push(`${this.name}-${at}: ${count}, expected ${least} to ${most}`)
    }
    this.counts[at] = count
    this.unknown[at] = 0
  }
}

async function startCounters(port: number, count: number): Promise<readonly Counter[]> {
  const counters: Counter[] = []
  for (let index = 0; index < count; index += 1) {
    const socket = await open(port)
    if (socket === undefined) throw new Error('no connection to the sidecar')
    socket.on('error', () => {})
    counters.push(new Counter(socket, `client${index}`))
  }
  for (const counter of counters) counter.start()
  return counters
}

async function figures(counters: readonly Counter[]) {
  for (const counter of counters) await counter.stop()
  const times = Float64Array.from(counters.flatMap(({ times: own }) => own))
  const errors = counters.flatMap(({ errors: own }) => own)
  const wrong = counters.flatMap(({ wrong: own }) => own)
  const round = (value: number) => Math.round(value * 10) / 10
  return {
    commands: times.length,
    errors: errors.length,
    errorTexts: [...new Set(errors)].slice(0, errorsShown),
    lostOrDouble: wrong.length,
    wrong: wrong.slice(0, errorsShown),
    p50Ms: round(percentile(times, 0.5)),
    p99Ms: round(percentile(times, 0.99)),
    longestStallMs: round(percentile(times, 1)),
  }
}

/** Moves `slotCount` slots between the shards while `clientCount` clients count. */
export async function resharding(clientCount: number, slotCount: number) {
  const site = await startSite()
  try {
    const counters = await startCounters(site.port, clientCount)
    await until('every client counted', () => counters.every(({ answered }) => answered > 100))
    const start = performance.now()
    const third = Math.ceil(slotCount / 3)
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ] as const) {
      await site.cluster.moveSlots(from, to, third)
    }
    const seconds = Math.round((performance.now() - start) / 1000)
    const { counters: sums } = await site.status()
    return {
      slots: 3 * third,
      seconds,
      ...(await figures(counters)),
      sentAgain: sums.commandsSentAgain,
    }
  } finally {
    await site.stop()
  }
}

/** `count` shards hand over to their replicas, in turn; `isKilled`: their primaries are killed instead. */
export async function failovers(clientCount: number, count: number, isKilled: boolean) {
  const site = await startSite()
  const { cluster } = site
  try {
    const counters = await startCounters(site.port, clientCount)
    await until('every client counted', () => counters.every(({ answered }) => answered > 100))
    for (let index = 0; index < count; index += 1) {
      const shard = index % 3
      if (isKilled) {
        const old = await cluster.killPrimary(shard)
        await cluster.primaryIsNot(old)
        await cluster.restart(old)
        await cluster.agree()
      } else await cluster.failOver(shard)
      const before = counters.map(({ answered }) => answered)
      await until('every client goes on', () =>
        counters.every(({ answered }, at) => answered > (before[at] ?? 0) + keysPerClient),
      )
    }
    return { failovers: count, ...(await figures(counters)) }
  } finally {
    await site.stop()
  }
}

/** One primary is stopped for `stopMs`: what clients of the other shards notice. */
export async function stoppedShard(clientCount: number, stopMs: number) {
  // The nodes shall not notice: without a shard the others would say that the cluster is down.
  const site = await startSite(20_000)
  const { cluster, port } = site
  try {
    const stopped = await cluster.primaryOf(0)
    const keys = await Promise.all([1, 2].map((shard) => cluster.keyOf(shard)))
    const ownKey = await cluster.keyOf(0)
    const others = await Promise.all(
      Array.from({ length: clientCount }, async (_, at) => ({
        socket: await open(port),
        key: keys[at % keys.length] ?? '',
      })),
    )
    const before = await readFor(others, stopMs)
    const victims = await Promise.all(
      Array.from({ length: clientCount }, async () => ({ socket: await open(port), key: ownKey })),
    )
    // The cluster must not replace it: only what the others notice is asked here.
    for (const node of cluster.nodesOf(0)) if (node !== stopped) cluster.pause(node)
    cluster.pause(stopped)
    const waiting = readFor(victims, stopMs)
    const during = await readFor(others, stopMs)
    for (const node of cluster.nodesOf(0)) cluster.resume(node)
    await waiting
    for (const { socket } of [...others, ...victims]) socket?.destroy()
    return { before, during, ratio: Math.round((100 * during.p99Ms) / before.p99Ms) / 100 }
  } finally {
    await site.stop()
  }
}

async function readFor(
  clients: readonly { readonly socket: Socket | undefined; readonly key: string }[],
  ms: number,
) {
  const times: number[] = []
  const errors: string[] = []
  const deadline = performance.now() + ms
  const read = async ({ socket, key }: (typeof clients)[number]) => {
    if (socket === undefined) throw new Error('no connection to the sidecar')
    const command = `*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`
    while (performance.now() < deadline) {
      const start = performance.now()
      const reply = await exchange(socket, command, 1)
      times.push(performance.now() - start)
      if (reply.startsWith('-')) errors.push(reply.trim())
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
  await Promise.all(clients.map(read))
  const values = Float64Array.from(times)
  return {
    count: times.length,
    errors: [...new Set(errors)],
    p50Ms: percentile(values, 0.5),
    p99Ms: percentile(values, 0.99),
    maxMs: percentile(values, 1),
  }
}
