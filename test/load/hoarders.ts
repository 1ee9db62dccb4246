/** Clients that make a proxy keep what they do not take, or wait for what they do not send. */
import type { Socket } from 'node:net'
import { encodeCommand, until } from '../support/servers.ts'
import {
  type RigOptions,
  exchange,
  isFullSize,
  open,
  openMany,
  startBystander,
  startLoadRig,
} from './rig.ts'

const megabyte = 1 << 20
const rounded = (value: number) => Math.round(value * 10) / 10

/** L3: clients that ask for large values and read nothing. */
export async function slowReaders(count: number, requests: number) {
  const rig = await startLoadRig({ isBundled: true })
  const sockets: Socket[] = []
  try {
    await rig.server.command('SETRANGE', 'large', String(megabyte - 1), 'x')
    const before = rig.residentBytes()
    const stop = await startBystander(rig.port)
    sockets.push(...(await openMany(rig.port, count)))
    const request = encodeCommand(['GET', 'large']).repeat(requests)
    for (const socket of sockets) socket.pause().write(request)
    const peak = await peakOf(() => rig.residentBytes(), 4000)
    const bystander = stop()
    const { clients, counters } = await rig.status()
    return {
      growthMegabytes: rounded((peak - before) / megabyte),
      serverMegabytes: rounded(Number(await rig.server.info('used_memory')) / megabyte),
      clients,
      cutSlow: counters.clientsCutSlow,
      bystander,
    }
  } finally {
    for (const socket of sockets) socket.destroy()
    await rig.stop()
  }
}

/** L8: the same with little memory: the largest are closed, and the process stays below its bound. */
export async function memoryCeiling(count: number, memoryBytesMax: number) {
  // Much may be left unread by each, so that the bound of the whole is what matters.
  const limits = { memoryBytesMax, clientOutputBytesMax: 32 * megabyte }
  const rig = await startLoadRig({ limits, isBundled: true })
  const sockets: Socket[] = []
  try {
    await rig.server.command('SETRANGE', 'large', String(megabyte - 1), 'x')
    const stop = await startBystander(rig.port)
    for (let index = 0; index < count; index += 1) {
      const socket = await open(rig.port)
      if (socket === undefined) break
      socket.on('error', () => {})
      sockets.push(socket)
      socket.pause().write(encodeCommand(['GET', 'large']).repeat(64))
    }
    const peak = await peakOf(() => rig.residentBytes(), isFullSize ? 10_000 : 2500)
    const bystander = stop()
    const { counters } = await rig.status()
    for (const socket of sockets) socket.destroy()
    await until('all are gone', async () => (await rig.status()).clients === 0, 30_000)
    const start = performance.now()
    await until(
      'clients are taken again',
      async () => {
        const late = await open(rig.port)
        const reply = late === undefined ? '' : await exchange(late, 'PING\r\n', 7)
        late?.destroy()
        return reply === '+PONG\r\n'
      },
      20_000,
    )
    return {
      recoverySeconds: rounded((performance.now() - start) / 1000),
      peakMegabytes: rounded(peak / megabyte),
      boundMegabytes: memoryBytesMax / megabyte,
      cutForMemory: counters.clientsCutMemory,
      refused: counters.clientsRefused,
      bystander,
    }
  } finally {
    for (const socket of sockets) socket.destroy()
    await rig.stop()
  }
}

/** L13: clients that send a command one byte at a time. */
export async function slowloris(count: number, byteEveryMs: number) {
  const rig = await startLoadRig()
  const sockets: Socket[] = []
  try {
    const stop = await startBystander(rig.port)
    sockets.push(...(await openMany(rig.port, count)))
    const request = encodeCommand(['SET', 'key', 'value'])
    let at = 0
    const send = () => {
      for (const socket of sockets) if (!socket.destroyed) socket.write(request[at] ?? '')
      at += 1
    }
    const start = performance.now()
    send()
    const timer = setInterval(send, byteEveryMs)
    await until('all are closed', async () => (await rig.status()).clients <= 1, 40_000)
    clearInterval(timer)
    const seconds = rounded((performance.now() - start) / 1000)
    const bystander = stop()
    const { counters } = await rig.status()
    return { seconds, cut: counters.clientsCutPatience, bystander }
  } finally {
    for (const socket of sockets) socket.destroy()
    await rig.stop()
  }
}

/** L14: a subscriber that reads nothing while much is published. */
export async function slowSubscriber(megabytes: number) {
  const rig = await startLoadRig({ isBundled: true })
  const sockets = await openMany(rig.port, 2)
  try {
    const [subscriber, publisher] = sockets as [Socket, Socket]
    await exchange(subscriber, encodeCommand(['SUBSCRIBE', 'c']), 20)
    subscriber.pause()
    const before = rig.residentBytes()
    const message = encodeCommand(['PUBLISH', 'c', 'x'.repeat(100 * 1024)])
    let slowestMs = 0
    let peak = before
    for (let sent = 0; sent < megabytes * 10; sent += 1) {
      const start = performance.now()
      await exchange(publisher, message, 4)
      slowestMs = Math.max(slowestMs, performance.now() - start)
      if (sent % 50 === 0) peak = Math.max(peak, rig.residentBytes())
    }
    await until('the subscriber is cut', async () => (await rig.status()).clients === 1, 75_000)
    return {
      growthMegabytes: rounded((peak - before) / megabyte),
      slowestPublishMs: rounded(slowestMs),
      publisher: await exchange(publisher, 'PING\r\n', 7),
    }
  } finally {
    for (const socket of sockets) socket.destroy()
    await rig.stop()
  }
}

/** L7: the server is stopped for a while under many clients, each with one command after the other. */
export async function stalledServer(count: number, stallMs: number, options: RigOptions = {}) {
  const rig = await startLoadRig(options)
  const sockets = await openMany(rig.port, count)
  try {
    const state = { isRunning: true, ok: 0, refused: 0, slowestRefusalMs: 0, lastRefusalMs: 0 }
    const increment = encodeCommand(['INCR', 'n'])
    let stoppedMs = Number.POSITIVE_INFINITY
    const run = async (socket: Socket) => {
      while (state.isRunning) {
        const start = performance.now()
        const reply = await exchange(socket, increment, 4)
        if (reply.startsWith(':')) state.ok += 1
        else if (reply.startsWith('-PROXY RM_OVERLOADED')) {
          state.refused += 1
          state.slowestRefusalMs = Math.max(state.slowestRefusalMs, performance.now() - start)
          state.lastRefusalMs = performance.now() - stoppedMs
        } else if (state.isRunning) throw new Error(`got ${reply}`)
      }
    }
    const running = Promise.all(sockets.map(run))
    await until('commands are served', () => state.ok > count)
    rig.server.signal('SIGSTOP')
    stoppedMs = performance.now()
    let mostInFlight = 0
    await until('the stall ends', async () => {
      mostInFlight = Math.max(mostInFlight, (await rig.status()).inFlightCommands)
      return performance.now() - stoppedMs > stallMs
    })
    const before = state.ok
    rig.server.signal('SIGCONT')
    const start = performance.now()
    await until('commands are served again', () => state.ok > before + count)
    const recoveryMs = rounded(performance.now() - start)
    state.isRunning = false
    await running
    const { slowestRefusalMs, refused, ok } = state
    const stored = Number((await rig.server.command('GET', 'n')).split('\r\n')[1])
    return {
      refused,
      mostInFlight,
      slowestRefusalMs: rounded(slowestRefusalMs),
      recoveryMs,
      ok,
      stored,
    }
  } finally {
    rig.server.signal('SIGCONT')
    for (const socket of sockets) socket.destroy()
    await rig.stop()
  }
}

async function peakOf(read: () => number, ms: number): Promise<number> {
  const start = performance.now()
  let peak = 0
  await until('the time is over', () => {
    peak = Math.max(peak, read())
    return performance.now() - start > ms
  })
  return peak
}
