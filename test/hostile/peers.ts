/** The same inputs to the proxies that this machine has, and to the server itself: what became of them. */
import { Bystander } from './bystander.ts'
import { fuzzPeer, type PeerFuzz } from './fuzz/peer-fuzz.ts'
import type { Row } from './row.ts'
import { type Outcome, tryRow } from './run-row.ts'
import { findPeers, type Site, startDirect, startPeer } from './sites.ts'
import { rows } from './table.ts'

export interface PeerReport {
  readonly name: string
  readonly rows: readonly Outcome[]
  readonly deaths: number
  readonly smuggled: number
  readonly mostGrowthBytes: number
  readonly worstBystanderMs: number
  readonly fuzz: PeerFuzz
}

export interface PeersReport {
  readonly peers: readonly PeerReport[]
  readonly missing: readonly string[]
}

const peerNames = ['haproxy', 'twemproxy', 'predixy', 'envoy'] as const

export interface PeerOptions {
  readonly seed: number
  readonly caseCount: number
  readonly say: (text: string) => void
}

export async function runPeers(options: PeerOptions): Promise<PeersReport> {
  const { say } = options
  const { found, missing: absent } = findPeers(peerNames)
  const missing = [...absent]
  for (const name of absent) say(`NOT FOUND: ${name}, not watched`)
  const peers: PeerReport[] = []
  for (const name of ['direct', ...found]) {
    const site = await startPeerOrSay(name, say)
    if (site === undefined) {
      missing.push(name as (typeof peerNames)[number])
      continue
    }
    const peer = await watchPeer(name, site, options)
    await site.stop()
    peers.push(peer)
    const { deaths, smuggled, fuzz } = peer
    const fate = fuzz.isAlive
      ? `lives after ${fuzz.cases} damaged`
      : `died within ${fuzz.cases} damaged`
    say(`peers: ${name} died of ${deaths} inputs, executed commands of ${smuggled}; ${fate}`)
  }
  return { peers, missing }
}

/** A peer that does not start is no reason to lose what was measured of the others. */
async function startPeerOrSay(name: string, say: PeerOptions['say']): Promise<Site | undefined> {
  if (name === 'direct') return startDirect()
  try {
    return await startPeer(name)
  } catch (error) {
    say(`DOES NOT START: ${name}, not watched: ${String(error)}`)
    return undefined
  }
}

async function watchPeer(name: string, site: Site, options: PeerOptions): Promise<PeerReport> {
  const outcomes: Outcome[] = []
  const bystander = new Bystander(site.port, site.server.port)
  for (const row of rows.filter((row) => row.isLogin !== true && !harmsServer(row))) {
    await bystander.settle()
    outcomes.push(await tryRow(row, site, bystander, { isPatient: false }))
    await site.revive()
    await mendServer(site)
  }
  await bystander.stop()
  return {
    name,
    rows: outcomes,
    deaths: outcomes.filter((outcome) => !outcome.isAlive).length,
    smuggled: outcomes.filter((outcome) => outcome.smuggled.length > 0).length,
    mostGrowthBytes: Math.max(0, ...outcomes.map((outcome) => outcome.growthBytes)),
    worstBystanderMs: Math.max(0, ...outcomes.map((outcome) => outcome.bystanderMs)),
    fuzz: await fuzzPeer(site, options.seed, options.caseCount),
  }
}

/** What ends the server or changes its part would only say that the peer lets it through. */
function harmsServer(row: Row): boolean {
  return row.id.startsWith('S8')
}

async function mendServer(site: Site): Promise<void> {
  const pong = await site.server.command('PING').catch(() => '')
  if (!pong.includes('PONG')) {
    await site.server.kill()
    await site.server.restart()
  }
}
