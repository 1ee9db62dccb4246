/**
 * A number for what may become of a world: equal for worlds that differ only in what nobody reads, in the names that were
 * given, and in how long ago something was that was long ago. Everything else is in it, field by field, without exception:
 * a field that is new splits states rather than merging them.
 */
import type { RedisProxyStatus } from '../../../operator/api/redis-proxy.ts'
import type { Observation } from '../../../operator/controller/observation.ts'
import { type Left, budgets } from './move.ts'
import { indexOf } from './nodes.ts'
import type { OperatorProcess, Process, Server, Sidecar, World } from './types.ts'

/** Longer than any span that the plan goes by in the scopes; see `witnessSilenceMs`. */
export const longAgoMs = 13_000

/** Clocks of operators and sidecars begin here; see `clockOf`. */
const clockBase = 1_000_000

const words = (text: string): ReadonlySet<string> => new Set(text.split(/\s+/))

/** Written for people, or hashed by itself further down. */
const unread = words(
  `conditions topology observedGeneration message reason lastTransitionTime since fromSince startedAt completedAt detectedAt
  endedAt durationMs connectedAtMs lastIoMs lastIoSeconds acks heard nextSeq heardAtMs heardEpoch`,
)

const moments = words('atMs sinceMs refusedSinceMs watchedSinceMs epochAtMs beganMs')
const deadlines = words('drainUntilMs grantedUntilMs holdUntilMs pausedUntilMs')

/** Numbers of `World.nextId`. */
const ids = words('id connection log waitsFor ids')

const interned = new Map<string, number>()

function intern(text: string): number {
  const known = interned.get(text)
  if (known !== undefined) return known
  const code = interned.size + 1
  interned.set(text, code)
  return code
}

/** Two hashes of 32 bits each. */
export interface Digest {
  readonly high: number
  readonly low: number
}

export class Digester {
  private high = 0
  private low = 0
  private nowMs = 0
  private readonly names = new Map<string | number, number>()
  private versions: number[] = []
  private lostSinceMs: number | undefined
  private seqBase = 0
  /** A planned change is asked for, or may be: new leaders wait a while with it. */
  private isChanging = false
  /** In the status fields come in whatever order they were last decided in. */
  private isOrdered = false
  /** What was named before the exploration began has the same name in all of its worlds. */
  private readonly oldestId: number

  private readonly unread: ReadonlySet<string>

  /** What is `overlooked` as well is a mistake, made to see that it is noticed. */
  constructor(oldestId: number, overlooked: readonly string[] = []) {
    this.oldestId = oldestId
    this.unread = new Set([...unread, ...overlooked])
  }

  of(world: World, left: Left): Digest {
    this.high = 0x9e3779b9
    this.low = 0x85ebca6b
    this.nowMs = world.nowMs
    this.names.clear()
    this.versions = versionsIn(world)
    this.lostSinceMs = lostSinceMs(world)
    for (const name of budgets) this.mix(left[name])
    this.isChanging = world.api.operation !== undefined || left.switchovers > 0
    for (const server of world.servers) this.server(world, server)
    for (const sidecar of world.sidecars) this.sidecar(sidecar)
    for (const operator of world.operators) this.operator(world, operator)
    this.api(world)
    for (const cut of world.cuts) this.mix(cut)
    for (const { otherEpoch, ...write } of world.writes) {
      this.value(write, '')
      this.mix(otherEpoch !== undefined && otherEpoch >= write.epoch ? 1 : 0)
    }
    this.mix(world.commands.length)
    this.value(world.commands, '')
    this.mix(world.lossesLeft)
    this.truth(world)
    return { high: spread(this.high), low: spread(this.low) }
  }

  private server(world: World, server: Server): void {
    const { process } = server
    this.mix(server.isSuspended ? 1 : 2)
    if (process === undefined) this.value(server.disk, '')
    else this.process(world, process)
  }

  private process(world: World, process: Process): void {
    const { lastIoMs, acks } = process
    this.fields(process)
    const isTold = process.linkRunId !== undefined && this.isNews(clockBase + lastIoMs)
    this.mix(isTold ? this.ageOf(lastIoMs) : -1)
    const isTimed = world.profile.failover.includes('minReplicas')
    for (const [index, { atMs, ...ack }] of Object.entries(acks)) {
      this.mix(intern(index))
      this.value(ack, '')
      if (isTimed) this.value(atMs, 'atMs')
    }
  }

  private sidecar(sidecar: Sidecar): void {
    const { heard, nextSeq } = sidecar
    this.seqBase = nextSeq
    this.fields(sidecar)
    const isTold = heard?.epoch === sidecar.config?.epoch && this.isNews(heard?.atMs)
    this.mix(isTold ? this.ageOf(heard?.atMs ?? 0) : -1)
  }

  /** What was heard from the primary counts only if it was after it was lost, and for a while; see `judgePrimary`. */
  private isNews(atMs: number | undefined): boolean {
    if (atMs === undefined || this.lostSinceMs === undefined || atMs <= this.lostSinceMs)
      return false
    return this.ageOf(atMs) < longAgoMs
  }

  private ageOf(atMs: number): number {
    const now = atMs >= clockBase ? clockBase + this.nowMs : this.nowMs
    return Math.round(Math.min(longAgoMs, now - atMs))
  }

  private operator(world: World, operator: OperatorProcess): void {
    const { cache, memory, observations, views, stage, plan, waitsFor, task } = operator
    this.mix((operator.isUp ? 1 : 2) + (operator.isSuspended ? 4 : 0))
    this.value(operator.password, '')
    if (cache !== world.api.object) this.value(cache, '')
    this.mix(0x0b5e)
    const { status } = cache
    if (memory !== undefined) this.memory(world, memory, status)
    for (const observation of observations) this.observation(observation)
    for (const [index, view] of Object.entries(views)) {
      // Without a stream it is not listened to, and a new one begins anew.
      if (world.sidecars[Number(index)]?.stream?.operator !== operator.index) continue
      const { heardAtMs, heardEpoch } = view
      this.mix(intern(index))
      this.fields(view)
      const isRead = heardEpoch === status?.epoch && this.isNews(heardAtMs)
      this.mix(isRead ? this.ageOf(heardAtMs ?? 0) : -1)
    }
    this.mix(intern(stage))
    if (stage === 'recorded') {
      const { actions, marks, suspectForMs } = plan ?? {}
      this.value({ actions, marks: marks?.join(), suspectForMs }, '')
    }
    this.value(waitsFor, 'waitsFor')
    this.value(task, '')
  }

  private observation({ state, last, atMs }: Observation): void {
    if (state.kind !== 'up') {
      this.value(state, '')
      return this.value(last, '')
    }
    const { facts } = state
    const { lastIoSeconds } = facts
    this.fields(facts)
    const heardMs = atMs - (lastIoSeconds + 1) * 1000
    this.mix(facts.isLinkUp && this.isNews(heardMs) ? this.ageOf(heardMs) : -1)
  }

  private memory(
    world: World,
    { watchedSinceMs, marks, published }: NonNullable<OperatorProcess['memory']>,
    status: RedisProxyStatus | undefined,
  ): void {
    const hasGrants = world.profile.failover.includes('grantTtl')
    const isAdopting = status?.primary === undefined && status?.intent === undefined
    if (hasGrants || isAdopting || this.isChanging) {
      this.value(watchedSinceMs, 'watchedSinceMs')
    }
    // Once the sidecars have let go for longer than anyone waits after that, it does not matter since when.
    const isLate = marks['acked'] !== undefined && this.ageOf(marks['acked']) >= longAgoMs
    for (const [mark, atMs] of Object.entries(marks)) {
      if (mark === 'parked' && !world.profile.failover.includes('minReplicas')) continue
      this.mix(intern(mark))
      this.mix(isLate && (mark === 'acked' || mark === 'fencing') ? -1 : this.ageOf(atMs))
    }
    if (published === undefined) return
    const { atMs: _atMs, epochAtMs, ...rest } = published
    this.value(rest, '')
    if (hasGrants) this.value(epochAtMs, 'epochAtMs')
  }

  private api({ api }: World): void {
    this.isOrdered = true
    this.value(api.object.status, '')
    this.isOrdered = false
    this.value(api.object.listed, '')
    this.value(api.operation, '')
    for (const runId of [api.object.status?.primary?.runId, api.object.status?.intent?.fromRunId]) {
      this.mix(runId !== undefined && api.ended.includes(runId) ? 1 : 2)
    }
  }

  /** Of what is known of the past only what can still be compared with something. */
  private truth({ truth, servers, api }: World): void {
    const alive = new Set(servers.map(({ process }) => process?.runId))
    let former = -1
    for (const [runId, epoch] of Object.entries(truth.epochOf)) {
      if (!alive.has(runId)) former = Math.max(former, epoch)
    }
    this.mix(former)
    for (const { process } of servers) {
      if (process === undefined) continue
      this.mix(truth.epochOf[process.runId] ?? -1)
      this.mix(truth.targets.includes(process.runId) ? 1 : 0)
    }
    const present = api.object.status?.epoch ?? 0
    for (const [epoch, runId] of Object.entries(truth.primaryOf)) {
      if (Number(epoch) >= present) this.value(runId, '')
    }
    this.value(
      truth.acked.map(({ id }) => id),
      'ids',
    )
    for (const list of [truth.kept, truth.fresh, truth.guarded]) this.value(list, 'ids')
    this.value(truth.losers, '')
    for (const [key, offset] of Object.entries(truth.reached)) {
      const name = this.names.get(key.slice('fork '.length))
      if (name === undefined && !this.isOld(key.slice('fork '.length))) continue
      this.value(key.slice('fork '.length), '')
      this.mix(offset)
    }
  }

  private value(value: unknown, key: string): void {
    if (typeof value === 'number') return this.number(value, key)
    if (typeof value === 'string') return this.text(value)
    if (typeof value === 'boolean') return this.mix(value ? 3 : 5)
    if (typeof value !== 'object' || value === null) return this.mix(7)
    if (Array.isArray(value)) return this.list(value, key)
    this.fields(value)
  }

  private list(values: readonly unknown[], key: string): void {
    this.mix(values.length)
    for (const value of values) this.value(value, key)
  }

  private fields(value: object): void {
    const keys = Object.keys(value)
    if (this.isOrdered) keys.sort()
    for (const key of keys) {
      const child = value[key as keyof typeof value] as unknown
      if (child === undefined || this.unread.has(key)) continue
      this.mix(intern(key))
      if (key === 'members') this.members(child as RedisProxyStatus['members'])
      else this.value(child, key)
    }
    this.mix(0x0bec7)
  }

  /** The rest of them is for people. */
  private members(members: RedisProxyStatus['members']): void {
    for (const { address, joined, state } of members ?? []) {
      this.mix(indexOf(address) ?? -1)
      this.mix((joined === true ? 1 : 0) + (state === 'Quarantined' ? 2 : 0))
    }
  }

  private number(value: number, key: string): void {
    if (moments.has(key)) return this.mix(this.ageOf(value))
    if (deadlines.has(key)) {
      const now = value >= clockBase ? clockBase + this.nowMs : this.nowMs
      return this.mix(Math.round(Math.min(longAgoMs, Math.max(0, value - now))))
    }
    if (ids.has(key)) return this.mix(value <= this.oldestId ? value : this.named(value))
    if (key === 'version') return this.mix(this.versions.indexOf(value))
    if (key === 'seq') return this.mix(this.seqBase - value)
    this.mix(value)
  }

  private text(text: string): void {
    const dash = text.lastIndexOf('-')
    const isNamed = dash > 0 && /^(loading-)?(run|hist|pass)-\d+$/.test(text)
    if (!isNamed || this.isOld(text)) return this.mix(intern(text))
    this.mix(0x1d + this.named(text.startsWith('loading-') ? text.slice(8) : text))
  }

  private isOld(text: string): boolean {
    return Number(text.slice(text.lastIndexOf('-') + 1)) <= this.oldestId
  }

  private named(name: string | number): number {
    const known = this.names.get(name)
    if (known !== undefined) return known
    const next = this.names.size + 1_000_000
    this.names.set(name, next)
    return next
  }

  private mix(value: number): void {
    const bits = value | 0
    const rest = value === bits ? 0 : Math.imul(Math.floor(value / 4096), 31) | 1
    let high = Math.imul(this.high ^ bits, 0xcc9e2d51) ^ rest
    high = (high << 15) | (high >>> 17)
    this.high = (Math.imul(high, 5) + 0xe6546b64) | 0
    let low = Math.imul(this.low ^ bits, 0x1b873593) + rest
    low = (low << 13) | (low >>> 19)
    this.low = (Math.imul(low, 9) + 0x38b34ae5) | 0
  }
}

function spread(hash: number): number {
  let bits = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35)
  return bits ^ (bits >>> 16)
}

/** Since when the operator has not been answered by the recorded primary. */
export function lostSinceMs({ operators: [operator] }: World): number | undefined {
  const index = indexOf(operator?.cache.status?.primary?.address)
  const state = index === undefined ? undefined : operator?.observations[index]?.state
  return state?.kind === 'down' ? state.failure.sinceMs : undefined
}

/** Of configurations: only which is newer is ever asked. */
function versionsIn(world: World): number[] {
  const versions = new Set<number>()
  for (const { config, stream } of world.sidecars) {
    if (config !== undefined) versions.add(config.version)
    for (const message of stream?.down ?? []) {
      if (message.kind === 'config') versions.add(message.config.version)
    }
    for (const message of stream?.up ?? [])
      if (message.kind === 'ack') versions.add(message.version)
  }
  for (const { memory, views } of world.operators) {
    if (memory?.published !== undefined) versions.add(memory.published.version)
    for (const view of Object.values(views)) {
      if (view.acked !== undefined) versions.add(view.acked.version)
    }
  }
  return [...versions].sort((a, b) => a - b)
}
