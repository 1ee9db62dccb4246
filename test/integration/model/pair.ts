/** Real servers and their model side by side: after each step they have to look the same to an operator. */
import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { until } from '../../support/servers.ts'
import { ModelledServers } from './modelled.ts'
import { type RealOptions, RealServers } from './real.ts'
import { type Step, nameOf } from './steps.ts'
import { Names, type View, viewOf } from './view.ts'

const settleDeadlineMs = 15_000
/** Servers look after their links each second. */
const staysSeconds = 2

export class Pair {
  readonly modelled: ModelledServers
  private readonly real: RealServers
  private names = { modelled: new Names(), real: new Names() }
  private readonly steps: string[] = []

  private constructor(modelled: ModelledServers, real: RealServers) {
    this.modelled = modelled
    this.real = real
  }

  static async start(options: RealOptions): Promise<Pair> {
    const modelled = new ModelledServers({ keepsHistory: options.hasSnapshots })
    const pair = new Pair(modelled, await RealServers.start(options))
    try {
      await pair.compare()
    } catch (error) {
      await pair.stop()
      throw error
    }
    return pair
  }

  stop(): Promise<void> {
    return this.real.stop()
  }

  async run(step: Step): Promise<void> {
    this.steps.push(nameOf(step))
    const expected = this.modelled.run(step)
    this.modelled.settle()
    const confirmedBy = this.modelled.confirmedBy(step.at)
    assert.equal(await this.real.run(step, confirmedBy), expected, this.history)
    await this.compare()
    if (this.modelled.hasDoubt) await this.stays()
  }

  /** Nothing changes any more. */
  async stays(): Promise<void> {
    const sinceSeconds = await this.real.uptimeSeconds()
    await until('some time has passed', async () => {
      await this.compare()
      return (await this.real.uptimeSeconds()) >= sinceSeconds + staysSeconds
    })
  }

  private get history(): string {
    return this.steps.join('\n')
  }

  private async compare(): Promise<void> {
    const modelled = this.names.modelled.copy()
    const expected = viewOf(this.modelled.see(), modelled)
    let shown: View = {}
    const isSame = async () => {
      const seen = await this.real.see()
      if (seen === undefined) return false
      const real = this.names.real.copy()
      shown = viewOf(seen, real)
      if (!isDeepStrictEqual(shown, expected)) return false
      this.names = { modelled, real }
      return true
    }
    await until('the servers look like their model', isSame, settleDeadlineMs).catch(() => {
      assert.deepEqual(
        shown,
        expected,
        `real servers and their model differ after\n${this.history}\n${difference(shown, expected)}`,
      )
    })
  }
}

function difference(shown: View, expected: View): string {
  const lines: string[] = []
  const flatA = flat(shown)
  const flatB = flat(expected)
  for (const name of new Set([...Object.keys(flatA), ...Object.keys(flatB)])) {
    if (flatA[name] === flatB[name]) continue
    lines.push(`${name}: real ${flatA[name]}, model ${flatB[name]}`)
  }
  return lines.join('\n')
}

function flat(view: View): Record<string, string> {
  const lines: Record<string, string> = {}
  for (const [server, value] of Object.entries(view)) {
    if (typeof value !== 'object' || value === null) lines[server] = String(value)
    else for (const [name, each] of Object.entries(value)) lines[`${server} ${name}`] = String(each)
  }
  return lines
}
