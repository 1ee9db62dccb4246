/**
 * One look at a cluster: asks a few nodes at once, and more of them where their answers do not suffice, until what most
 * primaries say is known. A node that does not answer delays nothing that others can answer.
 */
import type { ServerAddress } from '../../route/backend.ts'
import {
  clusterAskedAtOnce,
  clusterAskedMax,
  clusterGraceMs,
  clusterSampleCount,
} from '../../../common/limits.ts'
import { formatHostPort } from '../../../common/redis/url.ts'
import type { Answer } from './answer.ts'
import { type Judgement, judge } from './merge.ts'
import type { NodeLink } from './node-link.ts'
import { isSame } from './nodes.ts'
import { type Seed, resolveSeeds } from './seeds.ts'

export interface Known {
  /** What may be asked first: the primaries, then the others. */
  readonly primaries: readonly ServerAddress[]
  readonly others: readonly ServerAddress[]
  /** Ids of the primaries. */
  readonly ids: ReadonlySet<string>
  /** Whether all of these answers say what is known already. */
  isConfirmedBy(answers: readonly Answer[]): boolean
}

export interface LookModules {
  readonly seeds: readonly ServerAddress[]
  /** For a name to be resolved. */
  readonly timeoutMs: number
  /** The link to a place, which is kept as its owner likes. */
  readonly link: (seed: Seed) => NodeLink
  /** Which of them are asked first; another number with each look. */
  readonly turn: number
  readonly known: Known
}

export type LookResult =
  /** What most primaries say. */
  | { readonly kind: 'elected'; readonly judgement: Judgement }
  /** What is known already is what all of a sample say. */
  | { readonly kind: 'confirmed'; readonly answers: readonly Answer[] }
  /** Too few answered for anything to be concluded. */
  | { readonly kind: 'unknown' }

export class Look {
  /** Whom it asked first. */
  readonly sample: readonly ServerAddress[]
  private readonly modules: LookModules
  private readonly answers: Answer[] = []
  private readonly asked = new Set<string>()
  private readonly waiting: Seed[] = []
  private pending = 0
  private hasAskedSeeds = false
  private hasNews = Promise.withResolvers<void>()

  constructor(modules: LookModules) {
    this.modules = modules
    this.sample = rotated(modules.known.primaries, modules.turn).slice(0, clusterSampleCount)
    for (const address of this.sample) this.want(address)
  }

  /** Never rejects; takes as long as a few connections that nobody accepts. */
  async run(): Promise<LookResult> {
    const { known } = this.modules
    const isFirst = known.ids.size === 0
    let isSampling = this.sample.length > 0
    for (;;) {
      const judgement = judge(this.answers, known.ids)
      const isIdle = this.pending === 0 && this.waiting.length === 0
      if (judgement.kind === 'settled' && (this.isSure(judgement) || (isFirst && isIdle))) {
        return { kind: 'elected', judgement }
      }
      if (isSampling && this.isConfirmed(judgement)) {
        return { kind: 'confirmed', answers: judgement.answers }
      }
      if (isIdle || !(await this.news())) {
        isSampling = false
        if (await this.widen(judgement)) this.askWaiting()
        else if (judgement.kind !== 'minority') return { kind: 'elected', judgement }
        else if (isIdle) return { kind: 'unknown' }
      }
    }
  }

  /**
   * Most of the primaries that were known have answered: nobody’s word alone makes a cluster of fewer. Without them the
   * answers count when there is nobody left to be asked.
   */
  private isSure({ answers }: Judgement): boolean {
    const { ids } = this.modules.known
    const heard = new Set(answers.flatMap(({ self, isCredible }) => (isCredible ? self.id : [])))
    return ids.intersection(heard).size * 2 > ids.size
  }

  /** Most of a sample say what is known, and nobody says otherwise. */
  private isConfirmed({ answers }: Judgement): boolean {
    if (this.pending > 0 || this.waiting.length > 0) return false
    const isMost = answers.length * 2 > this.sample.length
    return isMost && this.modules.known.isConfirmedBy(answers)
  }

  private want(address: ServerAddress, seed?: Seed): boolean {
    const key = formatHostPort(address)
    if (this.asked.has(key) || this.asked.size >= clusterAskedMax) return false
    this.asked.add(key)
    const isSeed = this.modules.seeds.some((one) => isSame(one, address))
    this.waiting.push(seed ?? { address, isSeed })
    this.askWaiting()
    return true
  }

  private askWaiting(): void {
    while (this.pending < clusterAskedAtOnce) {
      const next = this.waiting.shift()
      if (next === undefined) return
      const link = this.modules.link(next)
      // It has not answered the look before: nothing is to be expected of it.
      if (link.isBusy) continue
      this.pending += 1
      void link.ask(next.isSeed).then((answer) => {
        this.pending -= 1
        if (answer !== undefined) this.answers.push(answer)
        this.askWaiting()
        this.hasNews.resolve()
      })
    }
  }

  /** True when something came or failed; false when nothing did for a while. */
  private async news(): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const grace = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), clusterGraceMs)
    })
    const hasCome = await Promise.race([this.hasNews.promise.then(() => true), grace])
    clearTimeout(timer)
    this.hasNews = Promise.withResolvers()
    return hasCome
  }

  /** Asks more nodes; false if there are none. Those that have a say first, then where the configuration points. */
  private async widen({ answers, electorate }: Judgement): Promise<boolean> {
    const { known, turn } = this.modules
    const nodes = answers.flatMap((answer) => answer.nodes)
    const voters = nodes.filter(({ id }) => electorate.has(id))
    if (this.wantAll(voters.map(({ address }) => address))) return true
    if (!this.hasAskedSeeds) {
      this.hasAskedSeeds = true
      const seeds = await resolveSeeds(rotated(this.modules.seeds, turn), this.modules.timeoutMs)
      if (seeds.filter((seed) => this.want(seed.address, seed)).length > 0) return true
    }
    if (this.wantAll(known.primaries)) return true
    return this.wantAll([...nodes.map(({ address }) => address), ...known.others])
  }

  private wantAll(addresses: readonly (ServerAddress | undefined)[]): boolean {
    return addresses.filter((address) => address && this.want(address)).length > 0
  }
}

function rotated<T>(items: readonly T[], turn: number): readonly T[] {
  const at = items.length === 0 ? 0 : turn % items.length
  return [...items.slice(at), ...items.slice(0, at)]
}
