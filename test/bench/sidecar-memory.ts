/** What a sidecar needs: at rest, with idle clients, and while one value of 512 MiB passes. */
import { once } from 'node:events'
import { type Socket, createConnection } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { SidecarMemory } from './model.ts'
import { residentBytes } from './process-figures.ts'
import type { Processes, Running } from './processes.ts'
import type { Progress } from './progress.ts'
import { waitForPong } from './resp-client.ts'
import { type Site, sidecarArgs } from './targets.ts'

const patienceMs = 20_000
const settleMs = 2000
const mebibyte = 1024 * 1024
/** Connections that are opened at once: fewer than wait to be accepted. */
const batchCount = 200
const chunk = Buffer.alloc(mebibyte, 'v')

export interface MemoryPlan {
  readonly processes: Processes
  readonly site: Site
  readonly newSite: () => Promise<Site>
  readonly isQuick: boolean
  readonly progress: Progress
  readonly signal: AbortSignal
}

export async function measureSidecarMemory(plan: MemoryPlan): Promise<SidecarMemory> {
  const idleClients = plan.isQuick ? 1000 : 10_000
  const bigValueBytes = (plan.isQuick ? 32 : 512) * mebibyte
  plan.progress.say(`memory: ${idleClients} idle clients`)
  const idle = await startSidecar(plan, plan.site)
  const restBytes = residentBytes(idle.pid).now
  const idle10kBytes = await withIdleClients(plan, plan.site.listenPort, idleClients, () =>
    residentBytes(idle.pid),
  )
  await plan.processes.stop(idle)
  plan.progress.say(`memory: a value of ${bigValueBytes / mebibyte} MiB`)
  const site = await plan.newSite()
  const big = await startSidecar(plan, site)
  const before = residentBytes(big.pid).now
  await passValue(site.listenPort, bigValueBytes)
  const bigValueGrowthBytes = residentBytes(big.pid).peak - before
  await plan.processes.stop(big)
  return { restBytes, idleClients, idle10kBytes, bigValueBytes, bigValueGrowthBytes }
}

async function startSidecar(plan: MemoryPlan, site: Site): Promise<Running> {
  const args = sidecarArgs(site, { '--listen': `127.0.0.1:${site.listenPort}` })
  const running = plan.processes.start('respmesh-memory', process.execPath, args)
  await waitForPong(
    { kind: 'tcp', port: site.listenPort },
    { patienceMs, hasEnded: () => running.hasEnded(), signal: plan.signal },
  )
  await delay(settleMs, undefined, { signal: plan.signal })
  return running
}

async function withIdleClients(
  plan: MemoryPlan,
  port: number,
  count: number,
  look: () => { readonly now: number },
): Promise<number> {
  const sockets: Socket[] = []
  try {
    while (sockets.length < count) {
      plan.signal.throwIfAborted()
      const wanted = Math.min(batchCount, count - sockets.length)
      const batch = Array.from({ length: wanted }, () => createConnection(port, '127.0.0.1'))
      sockets.push(...batch)
      await Promise.all(batch.map(setOneKey))
    }
    await delay(settleMs, undefined, { signal: plan.signal })
    return look().now
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

async function setOneKey(socket: Socket): Promise<void> {
  socket.write('*3\r\n$3\r\nSET\r\n$4\r\nidle\r\n$1\r\n1\r\n')
  const [reply] = (await once(socket, 'data')) as [Buffer]
  if (reply.toString() !== '+OK\r\n') throw new Error(`SET was answered ${reply.toString()}`)
}

/** Sets a value of `byteCount` bytes, reads it back and deletes it, keeping none of it. */
async function passValue(port: number, byteCount: number): Promise<void> {
  const socket = createConnection(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    const header = `$${byteCount}\r\n`
    socket.write(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${header}`)
    const isSet = received(socket, '+OK\r\n'.length)
    for (let sent = 0; sent < byteCount; sent += chunk.length) {
      if (!socket.write(chunk)) await once(socket, 'drain')
    }
    socket.write('\r\n')
    await isSet
    const isRead = received(socket, header.length + byteCount + 2)
    socket.write('*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n')
    await isRead
    const isDeleted = received(socket, ':1\r\n'.length)
    socket.write('*2\r\n$6\r\nUNLINK\r\n$3\r\nbig\r\n')
    await isDeleted
  } finally {
    socket.destroy()
  }
}

/** Waits for as many bytes. @throws Error when the connection ends or others come. */
async function received(socket: Socket, byteCount: number): Promise<void> {
  let count = 0
  await new Promise<void>((resolve, reject) => {
    const take = (bytes: Buffer) => {
      if (count === 0 && bytes[0] === minus) reject(new Error(bytes.toString('latin1', 0, 200)))
      count += bytes.length
      if (count < byteCount) return
      socket.off('data', take)
      if (count === byteCount) resolve()
      else reject(new Error('more was answered than was asked for'))
    }
    socket.on('data', take)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the sidecar closed the connection')))
  })
}

const minus = '-'.charCodeAt(0)
