/** Servers of the model, as `test/sim` explores failovers with them, under the steps of a history. */
import type { ServerFacts } from '../../../operator/controller/observation.ts'
import { parkSource } from '../../../operator/controller/observation.ts'
import { makeWorld } from '../../sim/explore/history.ts'
import { profileOf } from '../../sim/explore/profiles.ts'
import {
  append,
  diskOf,
  emptyDisk,
  end,
  factsAt,
  follow,
  promote,
  refusal,
  replicasAt,
  offsetOf,
  replicate,
  save,
  start,
} from '../../sim/explore/server.ts'
import type { Process, Server, World } from '../../sim/explore/types.ts'
import { Random } from '../../sim/random.ts'
import { type Step, backlogWrites, floodWrites, serverCount } from './steps.ts'
import type { Seen } from './view.ts'

const settleRounds = 12
const roundMs = 200

export class ModelledServers {
  private readonly world: World
  private readonly fullSyncs = new Map<string, number>()
  private writes = 0
  private users = 0

  constructor({ keepsHistory }: { readonly keepsHistory: boolean }) {
    const random = new Random(1)
    const profile = {
      ...profileOf(random, 'crashes'),
      servers: serverCount,
      listed: serverCount,
      keepsHistory,
      hasDrift: false,
      backlogEntries: backlogWrites,
    }
    this.world = makeWorld(profile, random, [])
    this.settle()
  }

  get isUp(): readonly boolean[] {
    return this.world.servers.map(({ process }) => process !== undefined)
  }

  /** Replicas that confirm what `at` has written by now. */
  confirmedBy(at: number): number {
    const { process } = this.server(at)
    return process?.isPrimary === true ? replicasAt(process, offsetOf(process)) : 0
  }

  /** @returns how a write was answered */
  run(step: Step): string {
    const server = this.server(step.at)
    switch (step.kind) {
      case 'write':
        return this.write(server, step.isWaited)
      case 'flood': {
        const replies = Array.from({ length: floodWrites }, () => this.write(server, false))
        return [...new Set(replies)].join(' ')
      }
      case 'promote':
        promote(this.world, server)
        break
      case 'follow':
        follow(this.world, server, step.source)
        break
      case 'protect':
        this.protect(server, step.replicas)
        break
      case 'unprotect':
        logIn(processOf(server), '')
        break
      case 'minReplicas':
        processOf(server).minReplicas = step.count
        break
      case 'save':
        save(this.world, server)
        break
      case 'crash': {
        const { saved } = server
        const now = diskOf(server.process, server.disk)
        const disks = { all: now, saved, nothing: emptyDisk }
        end(this.world, server, disks[step.keeps])
        server.saved = saved
        break
      }
      case 'start':
        start(this.world, server, step.source)
        break
    }
    return ''
  }

  /** Until nothing more happens. */
  settle(): void {
    for (let round = 0; round < settleRounds; round += 1) {
      this.world.nowMs += roundMs
      for (const server of this.world.servers) {
        if (server.process !== undefined) server.process.isLoading = false
        this.replicate(server)
      }
    }
  }

  see(): readonly Seen[] {
    return this.world.servers.map((server): Seen => {
      const { process } = server
      if (process === undefined) return { source: '', keys: [], fullSyncs: 0 }
      const facts = factsAt(this.world, server)
      return {
        facts,
        source: sourceName(facts),
        keys: process.log.filter((entry) => entry > 0).map((entry) => `w${entry}`),
        fullSyncs: this.fullSyncs.get(process.runId) ?? 0,
      }
    })
  }

  /** Links that are down although who is followed is there: whether they stay so is seen after a while only. */
  get hasDoubt(): boolean {
    return this.world.servers.some(({ process }) => {
      if (process === undefined || process.linkRunId !== undefined) return false
      const { source } = process
      return typeof source === 'number' && this.server(source).process !== undefined
    })
  }

  private write(server: Server, isWaited: boolean): string {
    const why = refusal(this.world, server)
    this.writes += 1
    if (why !== undefined) return why
    const process = processOf(server)
    append(process, this.writes)
    // To be told how far replicas are a server asks them in the history itself.
    if (isWaited) append(process, 0)
    return 'OK'
  }

  private protect(server: Server, replicas: readonly number[]): void {
    this.users += 1
    const name = `respmesh-e${this.users}`
    const process = processOf(server)
    process.users = { ...process.users, [name]: [name] }
    for (const replica of replicas) logIn(processOf(this.server(replica)), name)
  }

  private replicate(server: Server): void {
    const before = server.process
    const isLastStep = before?.syncStepsLeft === 1 && before.linkRunId === undefined
    replicate(this.world, server, 1000)
    const { linkRunId } = server.process ?? {}
    if (!isLastStep || linkRunId === undefined) return
    this.fullSyncs.set(linkRunId, (this.fullSyncs.get(linkRunId) ?? 0) + 1)
  }

  private server(index: number): Server {
    const server = this.world.servers[index]
    if (server === undefined) throw new Error(`there is no server ${index}`)
    return server
  }
}

function processOf({ index, process }: Server): Process {
  if (process === undefined) throw new Error(`server ${index} does not run`)
  return process
}

function logIn(process: Process, user: string): void {
  process.sourceUser = user
  process.sourcePassword = user
}

function sourceName({ source }: ServerFacts): string {
  if (source === undefined) return 'nobody'
  return source.port === parkSource.port ? 'parked' : source.host
}
