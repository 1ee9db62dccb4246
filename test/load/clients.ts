/** Many clients: idle ones, ones that come and go, all at once, and more than there are files for. */
import type { Socket } from 'node:net'
import { until } from '../support/servers.ts'
import { exchange, open, openMany, startLoadRig } from './rig.ts'

const set = '*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n'
const ok = '+OK\r\n'
const megabytes = (bytes: number) => Math.round(bytes / 1024 / 102.4) / 10

/** L1: clients that sent one SET and stay. */
export async function idleClients(count: number) {
  const rig = await startLoadRig({ isBundled: true })
  try {
    const warm = await openMany(rig.port, 50)
    for (const socket of warm) await exchange(socket, set, ok.length)
    await settled(() => rig.residentBytes())
    const before = rig.residentBytes()
    const sockets = await openMany(rig.port, count)
    for (let index = 0; index < count; index += 100) {
      await Promise.all(
        sockets.slice(index, index + 100).map((one) => exchange(one, set, ok.length)),
      )
    }
    await settled(() => rig.residentBytes())
    const after = rig.residentBytes()
    const { upstreamConnections, clients } = await rig.status()
    for (const socket of [...sockets, ...warm]) socket.destroy()
    await until('all are gone', async () => (await rig.status()).clients === 0, 60_000)
    return {
      clients,
      upstreamConnections,
      restMegabytes: megabytes(before),
      residentMegabytes: megabytes(after),
      kilobytesPerClient: Math.round(((after - before) / count / 1024) * 10) / 10,
    }
  } finally {
    await rig.stop()
  }
}

/** L11: connect, GET, close, over and over. */
export async function connectionChurn(count: number, atOnce = 16) {
  const rig = await startLoadRig({ isBundled: true })
  try {
    const churn = async (rounds: number) => {
      let left = rounds
      const one = async () => {
        while (left > 0) {
          left -= 1
          const socket = await open(rig.port)
          if (socket === undefined) throw new Error('a connection was refused')
          await exchange(socket, '*2\r\n$3\r\nGET\r\n$1\r\nk\r\n', 5)
          socket.destroy()
        }
      }
      await Promise.all(Array.from({ length: atOnce }, one))
    }
    await churn(Math.ceil(count / 4))
    await settled(() => rig.residentBytes())
    const before = rig.residentBytes()
    const start = performance.now()
    await churn(count)
    const seconds = (performance.now() - start) / 1000
    await until('all are gone', async () => (await rig.status()).clients === 0)
    await settled(() => rig.residentBytes())
    return {
      count,
      perSecond: Math.round(count / seconds),
      growthMegabytes: megabytes(rig.residentBytes() - before),
    }
  } finally {
    await rig.stop()
  }
}

/** Many connections in one moment: all are served. */
export async function connectionStorm(count: number) {
  const rig = await startLoadRig()
  try {
    const start = performance.now()
    const served = await Promise.all(
      Array.from({ length: count }, async () => {
        const socket = await open(rig.port)
        if (socket === undefined) return false
        const reply = await exchange(socket, set, ok.length)
        socket.destroy()
        return reply === ok
      }),
    )
    const servedCount = served.filter(Boolean).length
    return { count, servedCount, seconds: (performance.now() - start) / 1000 }
  } finally {
    await rig.stop()
  }
}

/** L10: more clients than the process may have files. */
export async function fileExhaustion(filesMax: number, count: number) {
  const rig = await startLoadRig({ filesMax })
  const sockets: Socket[] = []
  try {
    const replies: string[] = []
    for (let index = 0; index < count; index += 50) {
      const opened = await openMany(rig.port, Math.min(50, count - index))
      sockets.push(...opened)
      replies.push(...(await Promise.all(opened.map((one) => exchange(one, set, ok.length)))))
    }
    const first = await exchange(sockets[0] as Socket, set, ok.length)
    const cpuBefore = rig.cpuSeconds()
    const start = performance.now()
    await until('a second has passed', () => performance.now() - start > 1000)
    const idleCpuShare = rig.cpuSeconds() - cpuBefore
    for (const socket of sockets) socket.destroy()
    await until('all are gone', async () => (await rig.status()).clients === 0)
    const late = await open(rig.port)
    return {
      served: replies.filter((reply) => reply === ok).length,
      refused: replies.filter((reply) => reply.startsWith('-ERR max number of clients reached'))
        .length,
      closed: replies.filter((reply) => reply === '').length,
      first,
      idleCpuShare,
      afterwards: late === undefined ? 'refused' : await exchange(late, set, ok.length),
    }
  } finally {
    for (const socket of sockets) socket.destroy()
    await rig.stop()
  }
}

/** Waits until the memory has stopped to change much. */
async function settled(read: () => number): Promise<void> {
  let before = Number.NaN
  let since = performance.now()
  await until(
    'memory settles',
    () => {
      const now = performance.now()
      if (now - since < 1500) return false
      const bytes = read()
      const isSettled = Math.abs(bytes - before) < 1024 * 1024
      before = bytes
      since = now
      return isSettled
    },
    30_000,
  )
}
