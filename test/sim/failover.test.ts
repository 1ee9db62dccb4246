/**
 * Explores failover at random: crashes with and without data, restarts as a primary or parked, partitions, and a
 * controller that dies between any two calls. A failing seed is printed and can be run alone with SIM_SEED.
 */
import { test } from 'node:test'
import { parkSource } from '../../operator/controller/observation.ts'
import { SimWorld } from './world.ts'

const sizes = { full: 200, ci: 12 }
const size = process.env['RESPMESH_TEST_SIZE'] === 'full' ? 'full' : 'ci'
const runs = Number(process.env['SIM_RUNS'] ?? sizes[size])
const onlySeed = process.env['SIM_SEED']
const faultSteps = 500
const healSteps = 600

interface Faults {
  readonly keepsData: boolean
  readonly hasPartitions: boolean
  readonly hasControllerCrashes: boolean
  readonly hasTwoLeaders?: boolean
}

async function play(seed: number, faults: Faults): Promise<void> {
  const world = new SimWorld(seed, { hasTwoLeaders: faults.hasTwoLeaders === true })
  const { random, servers } = world
  const first = random.below(servers.length)
  for (const [index, server] of servers.entries()) {
    const source = servers[first]
    server.start(
      index === first || source === undefined
        ? undefined
        : { host: source.host, port: source.port },
      [],
    )
  }
  try {
    for (let step = 0; step < faultSteps; step += 1) {
      if (step > 20) disturb(world, faults)
      await world.step()
    }
    heal(world)
    let steps = 0
    while (!world.isSteady()) {
      steps += 1
      if (steps > healSteps) throw new Error('it did not become steady after the faults ended')
      await world.step()
    }
    verify(world)
  } catch (error) {
    const lines = [...world.trace.slice(-60), JSON.stringify(world.status, null, 1)]
    throw new Error(`seed ${seed}: ${String(error)}\n${lines.join('\n')}`, { cause: error })
  }
}

function disturb(world: SimWorld, faults: Faults): void {
  const { random, servers } = world
  const dead = servers.filter(({ process }) => process === undefined)
  if (dead.length > 0 && random.chance(0.05)) restart(world)
  const mayCrash = faults.keepsData || (dead.length === 0 && world.isSteady())
  if (mayCrash && random.chance(0.02)) {
    const server = random.pick(servers)
    world.note(`fault: ${server.address} crashes`)
    server.crash(faults.keepsData)
  }
  if (faults.hasPartitions && random.chance(0.03)) toggleCut(world)
  if (faults.hasPartitions && random.chance(0.004)) isolate(world)
  if (faults.hasPartitions && random.chance(0.006)) mend(world)
  if (mayCrash && random.chance(0.01)) crashAndReturn(world, faults)
  if (faults.hasControllerCrashes && random.chance(0.05)) world.crashControllerSoon()
}

function restart({ random, servers }: SimWorld): void {
  const server = random.pick(servers.filter(({ process }) => process === undefined))
  server.start(random.chance(0.5) ? parkSource : undefined, server.disk)
}

function toggleCut(world: SimWorld): void {
  const { random, cuts, sidecars, servers } = world
  if (random.chance(0.3)) {
    const sidecar = random.pick(sidecars)
    sidecar.isCutFromController = !sidecar.isCutFromController
    world.note(`fault: ${sidecar.id} cut from the controller: ${sidecar.isCutFromController}`)
    return
  }
  const from = random.pick([
    'controller',
    ...sidecars.map(({ id }) => id),
    ...servers.map(({ host }) => host),
  ])
  const cut = `${from}>${random.pick(servers).host}`
  world.note(`fault: ${cut} ${cuts.has(cut) ? 'mended' : 'cut'}`)
  if (!cuts.delete(cut)) cuts.add(cut)
}

/** One server, mostly the primary, is cut off from the controller and its peers, and maybe a sidecar with it. */
function isolate(world: SimWorld): void {
  const { random, cuts, servers, sidecars, status } = world
  const server =
    (random.chance(0.8) ? world.server(status.primary?.address) : undefined) ?? random.pick(servers)
  for (const from of ['controller', ...servers.map(({ host }) => host)]) {
    if (from !== server.host) cuts.add(`${from}>${server.host}`)
  }
  const sidecar = random.pick(sidecars)
  if (random.chance(0.6)) {
    sidecar.isCutFromController = true
    cuts.delete(`${sidecar.id}>${server.host}`)
  }
  world.note(
    `fault: ${server.address} isolated, ${sidecar.id} cut off: ${sidecar.isCutFromController}`,
  )
}

function mend(world: SimWorld): void {
  world.note('fault: all cuts mended')
  world.cuts.clear()
  for (const sidecar of world.sidecars) sidecar.isCutFromController = false
}

/** So quick that nobody sees it gone, only changed: the race that an empty primary wins against its replicas. */
function crashAndReturn(world: SimWorld, faults: Faults): void {
  const server = world.server(world.status.primary?.address)
  if (server?.process === undefined) return
  world.note(`fault: ${server.address} is restarted at once`)
  const keepsData = faults.keepsData || world.random.chance(0.5)
  server.crash(keepsData)
  server.start(keepsData && world.random.chance(0.5) ? undefined : parkSource, server.disk)
}

function heal(world: SimWorld): void {
  world.note('faults end')
  mend(world)
  for (const server of world.servers) {
    if (server.process === undefined) server.start(parkSource, server.disk)
  }
}

function verify(world: SimWorld): void {
  const log = new Set(world.server(world.status.primary?.address)?.process?.log)
  const lost = [...world.kept].filter((write) => !log.has(write))
  if (lost.length > 0) {
    throw new Error(
      `${lost.length} writes that every server had are gone: ${lost.slice(0, 5).join(', ')}`,
    )
  }
}

const cases: readonly (readonly [string, Faults])[] = [
  [
    'crashes that keep data',
    { keepsData: true, hasPartitions: false, hasControllerCrashes: false },
  ],
  [
    'crashes that lose data',
    { keepsData: false, hasPartitions: false, hasControllerCrashes: false },
  ],
  ['partitions and crashes', { keepsData: true, hasPartitions: true, hasControllerCrashes: false }],
  [
    'partitions, and crashes that lose data',
    { keepsData: false, hasPartitions: true, hasControllerCrashes: true },
  ],
  [
    'everything, and a dying controller',
    { keepsData: true, hasPartitions: true, hasControllerCrashes: true },
  ],
  [
    'two leaders at once, and everything else',
    { keepsData: true, hasPartitions: true, hasControllerCrashes: true, hasTwoLeaders: true },
  ],
]

for (const [name, faults] of cases) {
  test(`one primary at a time and nothing replicated is lost under ${name}`, async () => {
    const seeds =
      onlySeed === undefined
        ? Array.from({ length: runs }, (_, index) => index + 1)
        : [Number(onlySeed)]
    for (const seed of seeds) await play(seed, faults)
  })
}
