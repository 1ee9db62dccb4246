/**
 * A primary and its replica, a sidecar process that obeys a stream, and an operator by hand that hands the primary over
 * as the real one does: withdraws it, waits for the acknowledgement, pauses writers, compares, promotes, publishes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { TestContext } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { textOf } from '../../../sidecar/resp/decode.ts'
import { type RedisServer, freePort, startServer, until } from '../../support/servers.ts'
import { ControlPlane } from '../control/control-plane.ts'
import { type SidecarProcess, serves, startSidecar } from '../control/sidecar-process.ts'
import { WireClient } from '../switch/wire.ts'

type Upstream = Partial<ProxyConfig['upstream']>

export interface RigOptions {
  readonly upstream?: Upstream
  readonly timing?: Partial<ProxyConfig['timing']>
  readonly limits?: Partial<ProxyConfig['limits']>
  readonly workers?: number
}

/** How long the parts of a handover took, milliseconds. */
export interface Steps {
  readonly ackMs: number
  readonly serversMs: number
  readonly releaseMs: number
}

const pauseMs = 2000
const ackMaxMs = 10_000

export class HandoverRig {
  readonly controlPlane: ControlPlane
  readonly sidecar: SidecarProcess
  readonly port: number
  readonly state: string
  /** Of the configurations that are published from now on. */
  clientAuth: ProxyConfig['clientAuth']
  private primary: RedisServer
  private replica: RedisServer
  private readonly admins = new Map<RedisServer, WireClient>()
  private readonly runIds = new Map<RedisServer, string>()
  private readonly options: RigOptions
  private epoch = 1
  private version = 1

  constructor(
    servers: readonly [RedisServer, RedisServer],
    sidecar: {
      readonly process: SidecarProcess
      readonly port: number
      readonly controlPlane: ControlPlane
      readonly state: string
    },
    options: RigOptions,
  ) {
    this.primary = servers[0]
    this.replica = servers[1]
    this.sidecar = sidecar.process
    this.port = sidecar.port
    this.controlPlane = sidecar.controlPlane
    this.state = sidecar.state
    this.options = options
  }

  get serving(): RedisServer {
    return this.primary
  }

  get following(): RedisServer {
    return this.replica
  }

  admin(server: RedisServer): WireClient {
    const known = this.admins.get(server)
    if (known !== undefined) return known
    const client = new WireClient(server.port, () => this.admins.delete(server))
    this.admins.set(server, client)
    return client
  }

  close(): void {
    for (const client of this.admins.values()) client.close()
  }

  /** Publishes what is next in line and waits until the sidecar obeys it. */
  async publish(upstream: Upstream, isNewEpoch = false): Promise<void> {
    if (isNewEpoch) this.epoch += 1
    this.version += 1
    const { version, controlPlane } = this
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const timer = setTimeout(() => reject(new Error(`no acknowledgement of ${version}`)), ackMaxMs)
    let hasBegun = false
    controlPlane.onMessage = () => {
      const isReady = controlPlane.messages.some(
        (one) => one.kind === 'ready' && one.version === version,
      )
      if (isReady && !hasBegun) controlPlane.send({ kind: 'begin', version, epoch: this.epoch })
      hasBegun ||= isReady
      const isAcked = controlPlane.exchanges
        .at(-1)
        ?.messages.some((one) => one.kind === 'ack' && one.version === version)
      if (isAcked === true) resolve()
    }
    controlPlane.publish(this.configOf(upstream))
    await promise
    clearTimeout(timer)
  }

  async withdraw(drainMs = 1000): Promise<void> {
    const { host, port } = this.replica
    const runId = this.runIds.get(this.replica) ?? ''
    await this.publish({ handover: { drainMs, next: { host, port, runId } } }, true)
  }

  async name(server: RedisServer): Promise<void> {
    const runId = this.runIds.get(server) ?? ''
    await this.publish({ primary: { host: server.host, port: server.port, runId } })
  }

  /** Says what is to come, and to nobody that it begins; returns its version. */
  announce(drainMs = 1000): number {
    const { host, port } = this.replica
    const runId = this.runIds.get(this.replica) ?? ''
    this.epoch += 1
    this.version += 1
    this.controlPlane.onMessage = () => {}
    this.controlPlane.publish(this.configOf({ handover: { drainMs, next: { host, port, runId } } }))
    return this.version
  }

  /** The whole of it. */
  async handOver(drainMs?: number): Promise<Steps> {
    const { primary, replica } = this
    await until('the replica follows', () => this.isFollowing(replica))
    const start = performance.now()
    await this.withdraw(drainMs)
    const acked = performance.now()
    await this.exchange()
    const exchanged = performance.now()
    this.primary = replica
    this.replica = primary
    await this.name(replica)
    const done = performance.now()
    return { ackMs: acked - start, serversMs: exchanged - acked, releaseMs: done - exchanged }
  }

  /** What the operator does at the servers. */
  async exchange(): Promise<void> {
    const [old, next] = [this.admin(this.primary), this.admin(this.replica)]
    await old.ask('CLIENT', 'PAUSE', String(pauseMs), 'WRITE')
    const { offset, replId } = await positionOf(old)
    for (;;) {
      const there = await positionOf(next)
      if (there.replId !== replId) throw new Error('the replica has another history')
      if (there.offset >= offset) break
    }
    await next.ask('REPLICAOF', 'NO', 'ONE')
    await old.ask('REPLICAOF', this.replica.host, String(this.replica.port))
    await old.ask('CLIENT', 'UNPAUSE')
  }

  /** Looks who the servers are. */
  async meet(): Promise<void> {
    for (const server of [this.primary, this.replica]) {
      const info = textOf(await this.admin(server).ask('INFO', 'server'))
      this.runIds.set(server, fieldOf(info, 'run_id'))
    }
  }

  async isFollowing(server: RedisServer): Promise<boolean> {
    const info = textOf(await this.admin(server).ask('INFO', 'replication'))
    return /^master_link_status:up/m.test(info)
  }

  private configOf(upstream: Upstream): ProxyConfig {
    const { options, epoch, version, primary, replica, port } = this
    const { host } = primary
    const base = standaloneConfig({
      members: [
        { host, port: primary.port },
        { host, port: replica.port },
      ],
      listeners: [{ host: '127.0.0.1', port }],
    })
    const isServing = upstream.primary !== undefined
    const members = [primary, replica].map((server) => ({
      host,
      port: server.port,
      role: server === primary && isServing ? ('primary' as const) : ('replica' as const),
    }))
    return {
      ...base,
      admin: { host: '127.0.0.1', port: 0 },
      commands: { allow: ['monitor'] },
      ...(options.workers !== undefined && { workers: options.workers }),
      ...(this.clientAuth && { clientAuth: this.clientAuth }),
      proxy: { namespace: 'shop', name: 'cache', uid: 'u1' },
      epoch,
      version,
      timing: { ...base.timing, ...options.timing },
      limits: { ...base.limits, ...options.limits },
      upstream: {
        ...base.upstream,
        mode: 'replication',
        discovery: 'operator',
        members,
        ...options.upstream,
        ...upstream,
      },
    }
  }
}

export async function startHandoverRig(
  context: TestContext,
  options: RigOptions = {},
): Promise<HandoverRig> {
  const first = await startServer()
  context.after(() => first.stop())
  const second = await startServer({ replicaOf: first })
  context.after(() => second.stop())
  const controlPlane = new ControlPlane()
  await controlPlane.start()
  const state = mkdtempSync(join(tmpdir(), 'respmesh-handover-'))
  writeFileSync(join(state, 'token'), 'token\n')
  const port = await freePort()
  const process = startSidecar(context, '', {
    RESPMESH_STREAM_URL: controlPlane.url,
    RESPMESH_STREAM_TOKEN_FILE: join(state, 'token'),
    RESPMESH_PROXY: 'shop/cache',
    RESPMESH_ID: 'shop/pod-1',
    RESPMESH_STATE_DIR: state,
    RESPMESH_LOG_LEVEL: 'info',
  })
  const rig = new HandoverRig([first, second], { process, port, controlPlane, state }, options)
  context.after(async () => {
    rig.close()
    await controlPlane.end()
    rmSync(state, { recursive: true })
  })
  await until('the replica follows', () => rig.isFollowing(second))
  await process.logged('connected to the control plane')
  await rig.meet()
  await rig.name(first)
  await serves(process)
  return rig
}

async function positionOf(client: WireClient) {
  const info = textOf(await client.ask('INFO', 'replication'))
  const isReplica = /^role:slave/m.test(info)
  const field = isReplica ? 'slave_repl_offset' : 'master_repl_offset'
  return { offset: Number(fieldOf(info, field)), replId: fieldOf(info, 'master_replid') }
}

function fieldOf(info: string, field: string): string {
  return new RegExp(`^${field}:(\\S+)`, 'm').exec(info)?.[1] ?? ''
}
