/** The same damaged requests to a peer, of which no right answer is known: whether it lives, and what it let happen. */
import { residentNow, within } from '../run-row.ts'
import type { Site } from '../sites.ts'
import { open } from '../wire.ts'
import { authenticated, countCanaries, knownCommands } from './fuzz.ts'
import { makePlan } from './plan.ts'
import { Random } from './random.ts'

export interface PeerFuzz {
  readonly cases: number
  readonly isAlive: boolean
  /** Keys that strict reading finds no command for. */
  readonly canaries: number
  readonly growthBytes: number
}

const parallel = 16
const patienceMs = 200

export async function fuzzPeer(site: Site, seed: number, caseCount: number): Promise<PeerFuzz> {
  const random = new Random(seed)
  const known = await knownCommands(site.server.port)
  const options = { bounds: authenticated, known, casesMax: 8, mayChangeProtocol: false }
  const before = residentNow(site.pid())
  let cases = 0
  const work = async () => {
    while (cases < caseCount && site.isAlive()) {
      const plan = makePlan(random, options)
      cases += plan.cases.length
      const wire = await open(site.port).catch(() => undefined)
      if (wire === undefined) continue
      wire.send(plan.bytes)
      wire.socket.end()
      await within(patienceMs, () => wire.isClosed)
      wire.socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: parallel }, work))
  const isAlive = site.isAlive()
  return {
    cases,
    isAlive,
    canaries: await countCanaries(site.server.port),
    growthBytes: isAlive ? Math.max(0, residentNow(site.pid()) - before) : 0,
  }
}
