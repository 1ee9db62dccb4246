/** Tries the table of inputs on a sidecar, or on a peer, which is only watched. */
import { Bystander } from './bystander.ts'
import { describe, type Outcome, residentNow, tryRow, within } from './run-row.ts'
import type { Row } from './row.ts'
import { type Site, startSidecar } from './sites.ts'
import { rows } from './table.ts'
import { type Bytes, open, type Wire } from './wire.ts'

export interface RowVerdict extends Outcome {
  readonly problems: readonly string[]
}

export interface RowsReport {
  readonly rows: readonly RowVerdict[]
  readonly deaths: number
  readonly rssGrowthBytes: number
}

export interface RowsOptions {
  readonly usesSources: boolean
  /** What a bystander may wait for at most, where the server itself is faster. */
  readonly bystanderMsMax: number
  readonly say: (text: string) => void
}

export const password = 'secret'
const growthBytesMax = 20 * 2 ** 20
/** A row that was only slow is tried again: other programs use this machine too. */
const triesMax = 4
/** A command must be whole in 10 s; the watch over it looks at intervals. */
const timerMinMs = 9000
const timerMaxMs = 20_000

export async function runRows(options: RowsOptions): Promise<RowsReport> {
  const { usesSources, say } = options
  const site = await startSidecar({ usesSources })
  const login = await startSidecar({ usesSources, password })
  const bystander = new Bystander(site.port, site.server.port)
  try {
    const rssBefore = residentNow(site.pid())
    const timers = await startTimers(site)
    const verdicts: RowVerdict[] = []
    for (const row of rows) {
      const target = row.isLogin === true ? login : site
      const verdict = await tryPatiently(row, target, bystander, options)
      verdicts.push(verdict)
      if (verdict.problems.length > 0) say(`${row.id} ${row.name}: ${verdict.problems.join('; ')}`)
      if (!target.isAlive()) break
    }
    verdicts.push(...(await endTimers(timers, site)))
    const isAlive = site.isAlive() && login.isAlive()
    return {
      rows: verdicts,
      deaths: isAlive ? 0 : 1,
      rssGrowthBytes: isAlive ? Math.max(0, residentNow(site.pid()) - rssBefore) : 0,
    }
  } finally {
    await bystander.stop()
    await site.stop()
    await login.stop()
  }
}

async function tryPatiently(
  row: Row,
  site: Site,
  bystander: Bystander,
  options: RowsOptions,
): Promise<RowVerdict> {
  for (let tries = 1; ; tries += 1) {
    const outcome = await tryRow(row, site, bystander, { isPatient: true })
    const late = lateness(outcome, options.bystanderMsMax)
    const problems = [...problemsOf(row, outcome), ...(late === undefined ? [] : [late])]
    const mayBeNoise = problems.length === 1 && late !== undefined
    if (!mayBeNoise || tries >= triesMax) return { ...outcome, problems }
  }
}

function lateness(outcome: Outcome, bystanderMsMax: number): string | undefined {
  const { bystanderMs, controlMs } = outcome
  const isLate = bystanderMs > bystanderMsMax && bystanderMs > 2 * controlMs
  return isLate ? `a bystander waited ${bystanderMs} ms (at the server ${controlMs} ms)` : undefined
}

function problemsOf(row: Row, outcome: Outcome): string[] {
  const found: string[] = []
  if (!outcome.isAlive) found.push('the process died')
  if (!outcome.isAsExpected)
    found.push(`${outcome.expected} was expected, this came: ${outcome.reaction}`)
  if (outcome.smuggled.length > 0) found.push(`was executed: ${outcome.smuggled.join(', ')}`)
  if (outcome.bystanderErrors > 0) found.push('a bystander was disturbed')
  const max = row.growthBytesMax ?? growthBytesMax
  if (outcome.growthBytes > max)
    found.push(`grew by ${(outcome.growthBytes / 2 ** 20).toFixed(1)} MB`)
  return found
}

interface Timer {
  readonly row: Row
  readonly wire: Wire
  readonly start: number
  endMs?: number
}

/** Opens the connections that are to be closed for what does not come; the other rows are tried meanwhile. */
async function startTimers(site: Site): Promise<Timer[]> {
  const timers: Timer[] = []
  for (const row of rows.filter((row) => row.end === 'timer')) {
    const wire = await open(site.port)
    const timer: Timer = { row, wire, start: performance.now() }
    wire.socket.once('close', () => {
      timer.endMs = performance.now() - timer.start
    })
    wire.send(row.input as Bytes)
    timers.push(timer)
  }
  return timers
}

async function endTimers(timers: readonly Timer[], site: Site): Promise<RowVerdict[]> {
  await within(timerMaxMs, () => timers.every((timer) => timer.endMs !== undefined))
  return timers.map(({ row, wire, endMs }) => {
    const isRight = endMs !== undefined && endMs >= timerMinMs && endMs <= timerMaxMs
    const seconds = ((endMs ?? 0) / 1000).toFixed(1)
    const reaction = endMs === undefined ? describe(wire) : `closed after ${seconds} s`
    wire.socket.destroy()
    return {
      id: `${row.id}t`,
      name: `${row.name}: closed in time`,
      expected: 'closed after 10 s',
      reaction,
      isAsExpected: isRight,
      isAlive: site.isAlive(),
      smuggled: [],
      growthBytes: 0,
      bystanderMs: 0,
      controlMs: 0,
      bystanderErrors: 0,
      problems: isRight ? [] : [`not closed within ${timerMaxMs / 1000} s`],
    }
  })
}
