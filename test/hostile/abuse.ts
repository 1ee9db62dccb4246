/** L: what clients can do with very little: announce much, ask much and read nothing, send hardly anything. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Bystander } from './bystander.ts'
import { peakOf, residentNow, startPeak, within } from './run-row.ts'
import type { Site } from './sites.ts'
import { ask, command, open, type Wire } from './wire.ts'

export interface AbuseOutcome {
  readonly id: string
  readonly name: string
  readonly aim: string
  readonly figures: Figures
  readonly verdict: 'met' | 'missed'
  /** What of the aim was missed, with the figure. */
  readonly misses: readonly string[]
  /** Whether only time was: on a machine that does other things as well that says little. */
  readonly isTimeOnly: boolean
  readonly isAlive: boolean
}

type Figures = Readonly<Record<string, number>>

interface Aim {
  readonly figure: string
  readonly most?: number
  readonly exactly?: number
  readonly isTime?: boolean
}

export interface Abuse {
  readonly id: string
  readonly name: string
  readonly aims: (scale: number) => readonly Aim[]
  /** That clients have to give. */
  readonly password?: string
  /** Its part of the small size, that CI runs. */
  readonly scale: (isFull: boolean) => number
  readonly run: (scene: AbuseScene, scale: number) => Promise<Figures>
}

export interface AbuseScene {
  readonly site: Site
  readonly bystander: Bystander
}

const megabyte = 2 ** 20
const inMegabytes = (bytes: number) => Math.round((10 * bytes) / megabyte) / 10
const inPercent = (share: number) => Math.round(1000 * share) / 10
const slowMs = 1500

/** The proxy’s and the server’s largest size meanwhile, less what they had before. */
async function measured(
  { site, bystander }: AbuseScene,
  what: () => Promise<Figures>,
): Promise<Figures> {
  // It is no newcomer: what is measured is what becomes of those who were served before.
  await bystander.settle(50)
  bystander.take()
  const before = startPeak(site.pid())
  const serverBefore = startPeak(site.server.pid)
  const more = await what()
  await bystander.settle()
  const waits = bystander.take()
  return {
    growthMB: site.isAlive() ? inMegabytes(Math.max(0, peakOf(site.pid()) - before)) : 0,
    serverGrowthMB: inMegabytes(Math.max(0, peakOf(site.server.pid) - serverBefore)),
    bystanderMs: waits.worstMs,
    controlMs: waits.controlWorstMs,
    bystanderErrors: waits.errors,
    latePercent: inPercent(waits.lateShare),
    controlLatePercent: inPercent(waits.controlLateShare),
    ...more,
  }
}

async function openMany(port: number, count: number): Promise<Wire[]> {
  const wires: Wire[] = []
  while (wires.length < count) {
    const few = Array.from({ length: Math.min(50, count - wires.length) }, () => open(port))
    wires.push(...(await Promise.all(few)))
  }
  return wires
}

const destroyAll = (wires: readonly Wire[]) => {
  for (const wire of wires) wire.socket.destroy()
}

/** Clients that ask for `count` times a megabyte and read none of it. */
async function slowReaders(scene: AbuseScene, clients: number, count: number) {
  const { site } = scene
  await ask(site.server.port, 'SET', 'large', 'x'.repeat(megabyte))
  const figures = await measured(scene, async () => {
    const wires = await openMany(site.port, clients)
    for (const wire of wires) {
      wire.socket.pause()
      wire.send(Buffer.concat(Array.from({ length: count }, () => command('GET', 'large'))))
    }
    await delay(slowMs)
    destroyAll(wires)
    return {}
  })
  await ask(site.server.port, 'DEL', 'large')
  return figures
}

/** How much more memory a connection costs that has sent an opening than one that has sent a whole command. */
async function announcing(scene: AbuseScene, connections: number, openings: readonly string[]) {
  const { site } = scene
  const costOf = async (texts: readonly string[]) => {
    const before = residentNow(site.pid())
    const wires = await openMany(site.port, connections)
    for (const [index, wire] of wires.entries()) wire.send(texts[index % texts.length] as string)
    await delay(300)
    const bytes = site.isAlive() ? residentNow(site.pid()) - before : 0
    destroyAll(wires)
    await delay(300)
    return Math.round(Math.max(0, bytes) / connections / 102.4) / 10
  }
  return measured(scene, async () => {
    // The first ones pay for what the process keeps for the next.
    const firstKilobytesEach = await costOf([pong])
    const idleKilobytesEach = await costOf([pong])
    const kilobytesEach = await costOf(openings)
    return { firstKilobytesEach, idleKilobytesEach, kilobytesEach }
  })
}

const pong = '*1\r\n$4\r\nPING\r\n'

/** The second of two bursts: the first gives the runtime the size that work asks for. */
async function burst(scene: AbuseScene, requests: Buffer, replyBytes: number) {
  const one = async () => {
    const wire = await open(scene.site.port)
    wire.send(requests)
    await within(60_000, () => wire.byteCount >= replyBytes || wire.isClosed)
    const isWhole = wire.byteCount === replyBytes
    wire.socket.destroy()
    return { isWhole: isWhole ? 1 : 0 }
  }
  const first = await measured(scene, one)
  return { firstGrowthMB: first.growthMB ?? 0, ...(await measured(scene, one)) }
}

/** Each sends a byte of one command now and then; all must be closed when the time for a command is over. */
async function slowloris(scene: AbuseScene, connections: number) {
  return measured(scene, async () => {
    const wires = await openMany(scene.site.port, connections)
    const text = '*2\r\n$4\r\nECHO\r\n$1000\r\n'
    const start = performance.now()
    let sent = 0
    const drip = setInterval(() => {
      for (const wire of wires) wire.send(text[1 + (sent % (text.length - 1))] as string)
      sent += 1
    }, 2500)
    for (const wire of wires) wire.send('*')
    await within(25_000, () => wires.every((wire) => wire.isClosed))
    clearInterval(drip)
    const closed = wires.filter((wire) => wire.isClosed).length
    const seconds = Math.round((performance.now() - start) / 100) / 10
    destroyAll(wires)
    return { connections, closed, seconds }
  })
}

async function slowSubscriber(scene: AbuseScene, megabytes: number) {
  return measured(scene, async () => {
    const subscriber = await open(scene.site.port)
    subscriber.send(command('SUBSCRIBE', 'flood'))
    await within(3000, () => subscriber.byteCount > 0)
    subscriber.socket.pause()
    const publisher = await open(scene.site.server.port)
    const message = command('PUBLISH', 'flood', 'x'.repeat(megabyte / 4))
    const start = performance.now()
    for (let sent = 0; sent < 4 * megabytes; sent += 1) publisher.send(message)
    const isPublished = await within(30_000, () => countLines(publisher) >= 4 * megabytes)
    const publisherMs = Math.round(performance.now() - start)
    const answers = publisher.text()
    publisher.socket.destroy()
    subscriber.socket.resume()
    await within(5000, () => subscriber.isClosed)
    const isCut = subscriber.isClosed
    subscriber.socket.destroy()
    // The server no longer has the subscriber if it, or the sidecar, cut it off.
    return {
      isCut: isCut || answers.endsWith(':0\r\n') ? 1 : 0,
      isPublished: isPublished ? 1 : 0,
      publisherMs,
    }
  })
}

/** Clients that give no password, ask and do not read what they are told; the second time, as with a burst. */
async function unauthenticatedFlood(scene: AbuseScene, clients: number) {
  const flood = Buffer.from(pong.repeat(200_000))
  const one = async () => {
    const wires = await openMany(scene.site.port, clients)
    for (const wire of wires) {
      wire.socket.pause()
      wire.send(flood)
    }
    await delay(3 * slowMs)
    for (const wire of wires) wire.socket.resume()
    await within(5000, () => wires.every((wire) => wire.isClosed))
    const closed = wires.filter((wire) => wire.isClosed).length
    destroyAll(wires)
    return { clients, closed }
  }
  const first = await measured(scene, one)
  return { firstGrowthMB: first.growthMB ?? 0, ...(await measured(scene, one)) }
}

const countLines = (wire: Wire) => wire.byteCount / ':1\r\n'.length

const pings = Buffer.from('*1\r\n$4\r\nPING\r\n'.repeat(200_000))
const set = '*3\r\n$3\r\nSET\r\n$2\r\nsk\r\n$64\r\n' + 'v'.repeat(64) + '\r\n'

const most = (figure: string, value: number): Aim => ({ figure, most: value })
const exactly = (figure: string, value: number): Aim => ({ figure, exactly: value })
const quick: Aim = { ...most('bystanderMs', 50), isTime: true }
/** Its p99 is 20 ms at most. */
const punctual: Aim = { ...most('latePercent', 1), isTime: true }
const undisturbed = exactly('bystanderErrors', 0)

export const abuses: readonly Abuse[] = [
  {
    id: 'L2',
    name: '1,000 GET of 1 MB by a client that reads nothing',
    aims: () => [most('growthMB', 8), most('serverGrowthMB', 32), quick],
    scale: (isFull) => (isFull ? 1000 : 200),
    run: (scene, scale) => slowReaders(scene, 1, scale),
  },
  {
    id: 'L4',
    name: '1,000 connections that announce 2^31 arguments or 512 MB',
    aims: () => [most('kilobytesEach', 16), quick],
    scale: (isFull) => (isFull ? 1000 : 300),
    run: (scene, scale) =>
      announcing(scene, scale, ['*2147483647\r\n', '*1048577\r\n', '*1\r\n$536870912\r\n']),
  },
  {
    id: 'L5',
    name: '200,000 PING at once',
    aims: () => [most('growthMB', 8), exactly('isWhole', 1), quick],
    scale: () => 1,
    run: (scene) => burst(scene, pings, 200_000 * 7),
  },
  {
    id: 'L5b',
    name: '1,000,000 SET at once',
    aims: () => [most('growthMB', 8), exactly('isWhole', 1), quick],
    scale: (isFull) => (isFull ? 1_000_000 : 100_000),
    run: (scene, scale) => burst(scene, Buffer.from(set.repeat(scale)), scale * 5),
  },
  {
    id: 'L13',
    name: '5,000 connections with a byte of a command every few seconds',
    aims: (scale) => [exactly('closed', scale), { ...most('seconds', 12), isTime: true }, punctual],
    scale: (isFull) => (isFull ? 5000 : 500),
    run: (scene, scale) => slowloris(scene, scale),
  },
  {
    id: 'L14',
    name: '100 MB published to a subscriber that reads nothing',
    aims: () => [exactly('isCut', 1), exactly('isPublished', 1), most('growthMB', 32), quick],
    scale: (isFull) => (isFull ? 200 : 100),
    run: (scene, scale) => slowSubscriber(scene, scale),
  },
  {
    id: 'S7',
    name: 'clients without a password that ask and read nothing',
    aims: (scale) => [exactly('closed', scale), most('growthMB', 8), quick],
    password: 'secret',
    scale: (isFull) => (isFull ? 20 : 10),
    run: (scene, scale) => unauthenticatedFlood(scene, scale),
  },
  {
    id: 'L3',
    name: '200 clients that read nothing',
    aims: () => [most('growthMB', 200), punctual],
    scale: (isFull) => (isFull ? 200 : 40),
    run: (scene, scale) => slowReaders(scene, scale, 20),
  },
]

export async function tryAbuse(
  abuse: Abuse,
  scene: AbuseScene,
  isFull: boolean,
): Promise<AbuseOutcome> {
  const scale = abuse.scale(isFull)
  const figures = await abuse.run(scene, scale)
  const { id, name } = abuse
  return { id, name, ...judge([...abuse.aims(scale), undisturbed], figures, scene.site.isAlive()) }
}

/** What became of the aims. */
export function judge(
  aims: readonly Aim[],
  figures: Figures,
  isAlive: boolean,
): Omit<AbuseOutcome, 'id' | 'name'> {
  const missed = aims.filter((aim) => !isMet(aim, figures[aim.figure]))
  const misses = missed.map((aim) => `${aim.figure} ${figures[aim.figure]}, aim ${bound(aim)}`)
  return {
    aim: aims.map((aim) => `${aim.figure} ${bound(aim)}`).join(', '),
    figures,
    verdict: isAlive && missed.length === 0 ? 'met' : 'missed',
    misses: isAlive ? misses : ['it died', ...misses],
    isTimeOnly: isAlive && missed.length > 0 && missed.every((aim) => aim.isTime === true),
    isAlive,
  }
}

function isMet({ most, exactly }: Aim, figure: number | undefined): boolean {
  if (figure === undefined) return false
  return exactly === undefined ? figure <= (most ?? 0) : figure === exactly
}

const bound = ({ most, exactly }: Aim) => (exactly === undefined ? `≤ ${most}` : `= ${exactly}`)
