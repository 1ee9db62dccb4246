/** A data plane, what keeps its configuration, and discovery, put together in this process as the sidecar does it. */
import type { TestContext } from 'node:test'
import { systemClock } from '../../../common/clock.ts'
import type { ProxyConfig, UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import { silentLog } from '../../../common/log.ts'
import { ConfigKeeper } from '../../../sidecar/control/index.ts'
import type { LocalDataPlane } from '../../../sidecar/data-plane.ts'
import { createDataPlane } from '../../../sidecar/pipeline.ts'
import { Discovery } from '../../../sidecar/topology/index.ts'
import { encodeCommand, until } from '../../support/servers.ts'
import {
  type Address,
  Client,
  type ConfigChanges,
  configFor,
  connect,
  portOf,
} from '../sidecar/harness.ts'

export interface Front {
  readonly plane: LocalDataPlane
  readonly keeper: ConfigKeeper
  readonly port: number
  client(): Promise<Client>
  /** `host:port` of the primary, and of the replicas in order. */
  primary(): string | undefined
  replicas(): readonly string[]
  /** Waits until everyone was asked again, from the beginning, for who is what. */
  lookedAgain(): Promise<void>
}

export const reads = { policy: 'readsToReplicas' } as const

export const at = ({ host, port }: Address) => `${host}:${port}`

/** A configuration of a replicated backend, of which `members` are told. */
export function replicatedConfig(
  members: readonly Address[],
  upstream: Partial<UpstreamConfig> = {},
  changes: ConfigChanges = {},
): ProxyConfig {
  const [first = { host: '127.0.0.1', port: 1 }] = members
  const config = configFor(first, changes)
  const { primary: _primary, ...rest } = config.upstream
  return {
    ...config,
    upstream: {
      ...rest,
      mode: 'replication',
      discovery: 'self',
      members: members.map(({ host, port }) => ({ host, port, role: 'unknown' })),
      ...upstream,
    },
  }
}

export async function startFront(t: TestContext, config: ProxyConfig): Promise<Front> {
  const log = silentLog
  const plane = createDataPlane({ log, env: process.env })
  const keeper = new ConfigKeeper({}, { dataPlane: plane, log, clock: systemClock })
  let looks = 0
  const discovery = new Discovery({
    env: process.env,
    log,
    clock: systemClock,
    // It wants to know when it has looked.
    primary: () => {
      looks += 1
      return plane.view().primary
    },
    follow: (primary, replicas) => keeper.follow(primary, replicas),
  })
  t.after(async () => {
    discovery.stop()
    await plane.stop()
  })
  keeper.onApplied((applied) => discovery.use(applied, keeper.seeds))
  plane.onPrimaryChange((view) => {
    if (view !== 'ok') discovery.pollNow()
  })
  await keeper.offer(config)
  const port = portOf(plane)
  const upstream = () => keeper.config?.upstream
  return {
    plane,
    keeper,
    port,
    client: () => connect(t, port),
    primary: () => {
      const primary = upstream()?.primary
      return primary && at(primary)
    },
    replicas: () =>
      (upstream()?.members ?? [])
        .filter(({ role }) => role === 'replica')
        .map(at)
        .toSorted(),
    lookedAgain: async () => {
      const before = looks
      await until('it looked again', () => looks > before + 1)
    },
  }
}

/** Waits until primary and replicas are known as they are. */
export async function knows(
  front: Front,
  primary: Address,
  replicas: readonly Address[],
  deadlineMs?: number,
): Promise<void> {
  const wanted = replicas.map(at).toSorted().join()
  await until(
    `${at(primary)} and ${wanted} are known`,
    () => front.primary() === at(primary) && front.replicas().join() === wanted,
    deadlineMs,
  )
}

export { type Address, Client, connect, encodeCommand, until }
