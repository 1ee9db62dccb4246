/** What programs run against through the sidecar, by mode: its servers, and how the sidecar is told of them. */
import type { TestContext } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import { startCluster } from '../support/cluster.ts'
import { type ReplicatedServers, startReplicated } from '../support/replicas.ts'
import { startServer } from '../support/servers.ts'
import { type ChaosKind, ClusterChaos } from './chaos.ts'
import { type Backend, Control, Group } from './control.ts'
import { type Profile, profiles, ringNames } from './profile.ts'

export type Mode = (typeof modes)[number]
export const modes = [
  'standalone',
  'perClient',
  'replication',
  'confirmed',
  'confirmedPerClient',
  'cluster',
  'ring',
] as const

export interface ModeRig {
  readonly profile: Profile
  readonly oracleArgs: readonly string[]
  readonly backend: Backend
  readonly config: ProxyConfig
  /** What happened meanwhile, in words. @throws Error if nothing did, and the mode was for nothing */
  readonly told: () => string | Promise<string>
}

/** Timers of the servers run often, so that short timeouts are short. */
const quick = ['--hz', '500']
/** Keys tell of their changes, where it is one server that does. */
const telling = [...quick, '--notify-keyspace-events', 'KEA']

export async function startMode(
  t: TestContext,
  mode: Mode,
  chaos: readonly ChaosKind[],
): Promise<ModeRig> {
  if (mode === 'cluster') return startSlots(t, chaos)
  if (mode === 'ring') return startRing(t)
  if (mode === 'replication') return startReplication(t)
  if (mode === 'confirmed') return startConfirmed(t, 'shared')
  if (mode === 'confirmedPerClient') return startConfirmed(t, 'perClient')
  return startOne(t, mode === 'perClient' ? 'perClient' : 'shared')
}

interface Address {
  readonly host: string
  readonly port: number
}

const addressOf = ({ host, port }: Address): Address => ({ host, port })

function configFor(
  members: readonly Address[],
  upstream: Partial<ProxyConfig['upstream']>,
): ProxyConfig {
  const base = standaloneConfig({
    members,
    listeners: [{ host: '127.0.0.1', port: 0 }],
    logLevel: 'error',
  })
  return {
    ...base,
    commands: { allow: ['*'] },
    upstream: { ...base.upstream, ...upstream },
    timing: { ...base.timing, drainTimeoutMs: 500 },
  }
}

async function openControl(t: TestContext, port: number, databases?: string[]): Promise<Control> {
  const control = await Control.open(port, databases)
  t.after(() => control.close())
  return control
}

async function startOne(t: TestContext, isolation: 'shared' | 'perClient'): Promise<ModeRig> {
  const server = await startServer({ args: telling })
  t.after(() => server.stop())
  return {
    profile: profiles.oneServer,
    oracleArgs: telling,
    backend: await openControl(t, server.port),
    config: configFor([server], { isolation, primary: addressOf(server) }),
    told: () => '',
  }
}

/** A primary whose writes are acknowledged when a replica has them. */
async function startConfirmed(t: TestContext, isolation: 'shared' | 'perClient'): Promise<ModeRig> {
  const rig = await startReplicated({ args: telling, replicas: 1 })
  t.after(() => rig.stop())
  const { primary } = rig
  const upstream = {
    mode: 'replication',
    isolation,
    primary: addressOf(primary),
    writes: { waitReplicas: 1, waitTimeoutMs: 60_000 },
  } as const
  return {
    profile: profiles.confirmed,
    oracleArgs: telling,
    backend: await openControl(t, primary.port),
    config: configFor([primary], upstream),
    told: () => '',
  }
}

/** A primary that is written to, and two replicas that are read from. */
async function startReplication(t: TestContext): Promise<ModeRig> {
  const rig = await startReplicated({ args: telling })
  t.after(() => rig.stop())
  const servers = [rig.primary, ...rig.replicas.map(({ server }) => server)]
  const controls = await Promise.all(servers.map(({ port }) => openControl(t, port)))
  const upstream = {
    mode: 'replication',
    primary: addressOf(rig.primary),
    reads: { policy: 'readsToReplicas' },
  } as const
  const backend = new ReplicatedGroup(controls, rig)
  return {
    profile: profiles.replicated,
    oracleArgs: telling,
    backend,
    config: configFor(servers, upstream),
    told: () => backend.told(),
  }
}

class ReplicatedGroup extends Group {
  private readonly rig: ReplicatedServers

  constructor(controls: readonly Control[], rig: ReplicatedServers) {
    super(controls, { hasLateMessages: false })
    this.rig = rig
  }

  async told(): Promise<string> {
    const counts = await Promise.all(this.members.slice(1).map((replica) => replica.lookups()))
    if (counts.includes(0)) throw new Error(`a replica was not read from: ${counts.join(', ')}`)
    return `, ${counts.join(' + ')} keys read from replicas`
  }

  /** A client may read what another has written: one server is no different. */
  async stepped(): Promise<void> {
    for (const replica of this.rig.replicas) await this.rig.inStep(replica)
  }
}

async function startSlots(t: TestContext, chaos: readonly ChaosKind[]): Promise<ModeRig> {
  const isCalm = chaos.length === 0
  const replicasPerPrimary = chaos.includes('failover') ? 1 : 0
  const cluster = await startCluster({ replicasPerPrimary, args: quick })
  t.after(() => cluster.stop())
  const controls = await Promise.all(cluster.nodes.map(({ port }) => openControl(t, port, ['0'])))
  const late = { hasLateMessages: true }
  const disturbed = chaos.includes('reshard') ? profiles.moving : profiles.deposing
  const backend = isCalm ? new Group(controls, late) : new ClusterChaos(controls, cluster, chaos)
  return {
    profile: isCalm ? profiles.spread : disturbed,
    oracleArgs: quick,
    backend,
    config: configFor(cluster.nodes.slice(0, 3), { mode: 'cluster' }),
    told: () => (backend instanceof ClusterChaos ? backend.told() : ''),
  }
}

async function startRing(t: TestContext): Promise<ModeRig> {
  const servers = await Promise.all(Array.from({ length: 3 }, () => startServer({ args: quick })))
  t.after(async () => {
    await Promise.all(servers.map((server) => server.stop()))
  })
  const controls = await Promise.all(servers.map(({ port }) => openControl(t, port, ['0'])))
  const members = servers.map(({ host, port }, at) => {
    return { host, port, role: 'unknown' as const, name: ringNames[at] ?? '' }
  })
  return {
    profile: profiles.spread,
    oracleArgs: quick,
    backend: new Group(controls, { hasLateMessages: true }),
    config: configFor(servers, { mode: 'ring', members }),
    told: () => '',
  }
}
