/** The byte fuzzer towards the sidecar’s clients: many connections at once, each with a plan of its own. */
import { startServer } from '../../support/servers.ts'
import { Bystander } from '../bystander.ts'
import { peakOf, residentNow, startPeak } from '../run-row.ts'
import { type Site, startSidecar } from '../sites.ts'
import { ask } from '../wire.ts'
import { canaryPrefix } from './cases.ts'
import { ordinaryWork } from './ordinary.ts'
import { makePlan, type Plan, type PlanOptions } from './plan.ts'
import { Random } from './random.ts'
import { type Failure, shrink } from './shrink.ts'
import { type Places, runTrial } from './trial.ts'

export interface FuzzOptions {
  readonly caseCount: number
  readonly warmUpSeconds: number
  readonly seed: number
  readonly usesSources: boolean
  readonly say: (text: string) => void
}

export interface FuzzReport {
  readonly cases: number
  readonly connections: number
  readonly seed: number
  readonly deaths: number
  readonly failures: readonly Failure[]
  readonly canaries: number
  /** Ordinary and damaged requests before the first case, so that the runtime has the size that work asks for. */
  readonly warmUpSeconds: number
  /** From a process that has done nothing to the last case, when all connections are closed. */
  readonly rssFromRestBytes: number
  /** The same, from the end of the warm-up on. */
  readonly rssGrowthBytes: number
  readonly rssPeakGrowthBytes: number
  readonly bystanderMs: number
  readonly controlMs: number
  readonly bystanderErrors: number
  readonly seconds: number
}

/** Inputs of clients that have not given the password are a tenth. */
const loginShare = 0.1
const parallel = 24
/** Clients that do nothing wrong while the process warms up. */
const ordinaryCount = 8
const failuresMax = 5
const lookEveryMs = 2000
const password = 'secret'
export const authenticated = {
  argumentCountMax: 2_147_483_647,
  argumentBytesMax: 512 * 1024 * 1024,
}
const unauthenticated = { argumentCountMax: 10, argumentBytesMax: 16_384 }

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const loginCount = Math.round(options.caseCount * loginShare)
  const first = await fuzzSide({ ...options, caseCount: options.caseCount - loginCount }, false)
  if (first.deaths > 0) return first
  const second = await fuzzSide({ ...options, caseCount: loginCount }, true)
  const worse = (
    field:
      | 'bystanderMs'
      | 'controlMs'
      | 'rssFromRestBytes'
      | 'rssGrowthBytes'
      | 'rssPeakGrowthBytes',
  ) => Math.max(first[field], second[field])
  const sum = (
    field: 'bystanderErrors' | 'canaries' | 'cases' | 'connections' | 'deaths' | 'seconds',
  ) => first[field] + second[field]
  return {
    cases: sum('cases'),
    connections: sum('connections'),
    seed: options.seed,
    deaths: sum('deaths'),
    failures: [...first.failures, ...second.failures],
    canaries: sum('canaries'),
    warmUpSeconds: options.warmUpSeconds,
    rssFromRestBytes: worse('rssFromRestBytes'),
    rssGrowthBytes: worse('rssGrowthBytes'),
    rssPeakGrowthBytes: worse('rssPeakGrowthBytes'),
    bystanderMs: worse('bystanderMs'),
    controlMs: worse('controlMs'),
    bystanderErrors: sum('bystanderErrors'),
    seconds: sum('seconds'),
  }
}

async function fuzzSide(options: FuzzOptions, isLogin: boolean): Promise<FuzzReport> {
  const { usesSources } = options
  const site = await startSidecar({ usesSources, ...(isLogin && { password }) })
  const oracle = await startServer()
  // A bystander knows no password; without one it would only learn that.
  const bystander = isLogin ? undefined : new Bystander(site.port, oracle.port)
  try {
    const known = await knownCommands(oracle.port)
    const run = new FuzzRun(options, isLogin, site, {
      plan: {
        bounds: isLogin ? unauthenticated : authenticated,
        known,
        casesMax: 8,
        mayChangeProtocol: !isLogin,
      },
      places: { port: site.port, oraclePort: oracle.port, isLogin },
      bystander,
    })
    return await run.go()
  } finally {
    await bystander?.stop()
    await site.stop()
    await oracle.stop()
  }
}

export async function knownCommands(port: number): Promise<ReadonlySet<string>> {
  const names = (await ask(port, 'COMMAND', 'LIST')).split('\r\n')
  return new Set(names.filter((line) => !/^[*$]/.test(line)).map((name) => name.toUpperCase()))
}

interface Setting {
  readonly plan: PlanOptions
  readonly places: Places
  readonly bystander: Bystander | undefined
}

class FuzzRun {
  private readonly options: FuzzOptions
  private readonly isLogin: boolean
  private readonly site: Site
  private readonly setting: Setting
  private readonly random: Random
  private readonly failures: Failure[] = []
  private cases = 0
  private connections = 0
  private canaries = 0
  private isOver = false
  private shrinking: Promise<void> = Promise.resolve()

  constructor(options: FuzzOptions, isLogin: boolean, site: Site, setting: Setting) {
    this.options = options
    this.isLogin = isLogin
    this.site = site
    this.setting = setting
    this.random = new Random(options.seed + (isLogin ? 1 : 0))
  }

  async go(): Promise<FuzzReport> {
    const { bystander } = this.setting
    await bystander?.settle()
    bystander?.take()
    const pid = this.site.pid()
    const rssAtRest = residentNow(pid)
    await this.warmUp()
    const rssBefore = startPeak(pid)
    const start = performance.now()
    const looks = setInterval(() => this.look(start), lookEveryMs)
    await Promise.all(Array.from({ length: parallel }, () => this.work()))
    clearInterval(looks)
    const seconds = (performance.now() - start) / 1000
    this.canaries = await countCanaries(this.site.server.port)
    await bystander?.settle()
    const waits = bystander?.take()
    const isAlive = this.site.isAlive()
    if (!isAlive) this.options.say(`the process died: ${this.site.logTail()}`)
    return {
      cases: this.cases,
      connections: this.connections,
      seed: this.options.seed,
      deaths: isAlive ? 0 : 1,
      failures: this.failures,
      canaries: this.canaries,
      rssGrowthBytes: isAlive ? Math.max(0, residentNow(pid) - rssBefore) : 0,
      rssFromRestBytes: isAlive ? Math.max(0, residentNow(pid) - rssAtRest) : 0,
      warmUpSeconds: this.options.warmUpSeconds,
      rssPeakGrowthBytes: isAlive ? Math.max(0, peakOf(pid) - rssBefore) : 0,
      bystanderMs: waits?.worstMs ?? 0,
      controlMs: waits?.controlWorstMs ?? 0,
      bystanderErrors: waits?.errors ?? 0,
      seconds,
    }
  }

  /** As many connections as later, damaged requests on most and ordinary ones on some. */
  private async warmUp(): Promise<void> {
    const end = performance.now() + 1000 * this.options.warmUpSeconds
    const isOver = () => this.isOver || performance.now() >= end
    const random = new Random(this.options.seed + 2)
    const { plan, places } = this.setting
    const damaged = async () => {
      while (!isOver()) {
        const made = makePlan(random, plan)
        const why = await runTrial(made, places).catch((error: Error) => error.message)
        if (why !== undefined) await this.fail(made, why)
      }
    }
    const ordinary = Array.from({ length: ordinaryCount }, () =>
      ordinaryWork({ port: this.site.port, random, isOver, isLogin: this.isLogin }),
    )
    await Promise.all([...Array.from({ length: parallel }, damaged), ...ordinary])
  }

  private async work(): Promise<void> {
    while (!this.isOver && this.cases < this.options.caseCount) {
      const plan = makePlan(this.random, this.setting.plan)
      this.cases += plan.cases.length
      this.connections += 1
      const why = await runTrial(plan, this.setting.places).catch((error: Error) => error.message)
      if (why !== undefined) await this.fail(plan, why)
    }
  }

  private async fail(plan: Plan, why: string): Promise<void> {
    if (this.isOver) return
    this.isOver = !this.site.isAlive() || this.failures.length + 1 >= failuresMax
    this.shrinking = this.shrinking.then(() => this.report(plan, why))
    await this.shrinking
  }

  private async report(plan: Plan, why: string): Promise<void> {
    if (this.failures.length >= failuresMax) return
    const { say, seed } = this.options
    const failure = await shrink(plan, why, this.setting.plan, this.setting.places)
    this.failures.push(failure)
    const how = failure.isReproduced ? 'the least input' : 'not seen again with'
    say(
      `FAILED (seed ${seed}${this.isLogin ? ', before the password' : ''}): ${failure.why}\n  ${how}: ${failure.input}`,
    )
  }

  private look(start: number): void {
    const perSecond = this.cases / ((performance.now() - start) / 1000)
    const rss = this.site.isAlive() ? residentNow(this.site.pid()) / 2 ** 20 : 0
    const { caseCount, say } = this.options
    say(
      `fuzz${this.isLogin ? ' before the password' : ''}: ${this.cases} of ${caseCount} cases, ` +
        `${perSecond.toFixed(0)} a second, ${rss.toFixed(0)} MB, ${this.failures.length} failures`,
    )
  }
}

/** Looks in all databases that the inputs can have chosen. */
export async function countCanaries(port: number): Promise<number> {
  const script = `local n = 0 for db = 0, 15 do redis.call('SELECT', db) n = n + #redis.call('KEYS', '${canaryPrefix}*') end return n`
  return Number((await ask(port, 'EVAL', script, '0')).slice(1))
}
