/** All that a run found, whether it is as it should be, and how a person sees it. Pure. */
import type { AbuseOutcome } from './abuse.ts'
import type { AlignmentReport } from './alignment/alignment.ts'
import type { FuzzReport } from './fuzz/fuzz.ts'
import type { PeersReport } from './peers.ts'
import type { RowsReport } from './rows-run.ts'
import type { UpstreamReport } from './upstream/upstream.ts'

export interface Report {
  readonly at: string
  readonly server: string
  readonly machine: string
  readonly loadAverage: number
  readonly rows?: RowsReport
  readonly fuzz?: FuzzReport
  readonly upstream?: UpstreamReport
  readonly alignment?: AlignmentReport
  readonly abuse?: readonly AbuseOutcome[]
  readonly peers?: PeersReport
}

const megabytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MB`
const number = (value: number) => value.toLocaleString('en-US')

/** Memory is judged after a warm-up only, and where there are enough cases for it to grow. */
const rssCasesMin = 200_000
const rssGrowthBytesMax = 20 * 2 ** 20

/** What is wrong with respmesh, one line each. */
export function failures(report: Report): string[] {
  const { rows, fuzz, upstream, alignment, abuse } = report
  const found: string[] = []
  for (const row of rows?.rows ?? []) {
    if (row.problems.length > 0) found.push(`row ${row.id} ${row.name}: ${row.problems.join('; ')}`)
  }
  if (fuzz !== undefined) {
    if (fuzz.deaths > 0) found.push(`fuzz: died, seed ${fuzz.seed}`)
    if (fuzz.cases >= rssCasesMin && fuzz.rssGrowthBytes > rssGrowthBytesMax) {
      found.push(`fuzz: grew by ${megabytes(fuzz.rssGrowthBytes)} after the warm-up`)
    }
    if (fuzz.canaries > 0) found.push(`fuzz: ${fuzz.canaries} smuggled commands were executed`)
    for (const { why, input } of fuzz.failures)
      found.push(`fuzz, seed ${fuzz.seed}: ${why}; ${input}`)
    if (fuzz.bystanderErrors > 0) found.push('fuzz: a bystander was disturbed')
  }
  if (upstream !== undefined) {
    if (upstream.deaths > 0) found.push('upstream: died')
    if (upstream.foreign > 0) found.push(`upstream: ${upstream.foreign} foreign replies`)
    if (upstream.redirectsFollowed > 0) found.push('upstream: a redirect was followed')
    for (const { id, name, connection, problems } of upstream.scripts) {
      if (problems.length > 0)
        found.push(`upstream ${id} ${name} (${connection}): ${problems.join('; ')}`)
    }
    for (const problem of upstream.fuzz.problems)
      found.push(`upstream, damaged replies: ${problem}`)
  }
  if (alignment !== undefined) {
    if (alignment.deaths > 0) found.push('alignment: died')
    if (alignment.foreign > 0)
      found.push(`alignment: ${alignment.foreign} foreign replies, ${alignment.example}`)
    if (alignment.hangs > 0)
      found.push(`alignment: ${alignment.hangs} batches were not answered in time`)
  }
  for (const { id, name, verdict, misses, isTimeOnly } of abuse ?? []) {
    if (verdict === 'missed' && !isTimeOnly) found.push(`${id} ${name}: ${misses.join('; ')}`)
  }
  return found
}

/** The last words of a run. */
export function summary(report: Report): string {
  const { rows, fuzz, upstream, alignment, abuse, peers } = report
  const lines: string[] = []
  if (rows !== undefined) {
    const good = rows.rows.filter((row) => row.problems.length === 0).length
    const worst = Math.max(0, ...rows.rows.map((row) => row.bystanderMs))
    lines.push(
      `rows: ${good} of ${rows.rows.length} as expected, ${rows.deaths} deaths, ` +
        `${megabytes(rows.rssGrowthBytes)} more after all, bystander at worst ${worst} ms`,
    )
  }
  if (fuzz !== undefined) {
    lines.push(
      `fuzz: ${number(fuzz.cases)} cases (seed ${fuzz.seed}) on ${number(fuzz.connections)} connections in ` +
        `${fuzz.seconds.toFixed(0)} s, ${fuzz.deaths} deaths, ${fuzz.failures.length} failures, ` +
        `${fuzz.canaries} canaries, ${megabytes(fuzz.rssGrowthBytes)} more after ` +
        `${fuzz.warmUpSeconds} s of warm-up (${megabytes(fuzz.rssFromRestBytes)} from rest), bystander at worst ${fuzz.bystanderMs} ms (server ${fuzz.controlMs} ms)`,
    )
  }
  if (upstream !== undefined) {
    const good = upstream.scripts.filter((script) => script.problems.length === 0).length
    lines.push(
      `upstream: ${good} of ${upstream.scripts.length} hostile servers, ${number(upstream.fuzz.replies)} damaged ` +
        `replies, ${upstream.deaths} deaths, ${upstream.foreign} foreign, ${upstream.redirectsFollowed} redirects followed`,
    )
  }
  if (alignment !== undefined) {
    lines.push(
      `alignment: ${number(alignment.replies)} replies to ${alignment.clients} clients, ${alignment.foreign} foreign; ` +
        `${number(alignment.cancels)} cancels, ${number(alignment.errors)} errors, ${number(alignment.serverConnectionsKilled)} ` +
        `connections killed, ${alignment.serverRestarts} new servers, ${alignment.seconds.toFixed(0)} s`,
    )
  }
  for (const { id, name, figures, verdict, misses, isTimeOnly } of abuse ?? []) {
    const shown = Object.entries(figures).map(([what, value]) => `${what} ${value}`)
    lines.push(
      `${id} ${verdict === 'met' ? 'met' : `MISSED (${misses.join('; ')}${isTimeOnly ? '; only time' : ''})`}: ${name}: ${shown.join(', ')}`,
    )
  }
  for (const peer of peers?.peers ?? []) {
    lines.push(
      `${peer.name}: died of ${peer.deaths}, executed smuggled commands of ${peer.smuggled}, at most ` +
        `${megabytes(peer.mostGrowthBytes)} more, bystander at worst ${peer.worstBystanderMs} ms; ` +
        `${number(peer.fuzz.cases)} damaged requests: ${peer.fuzz.isAlive ? 'lives' : 'DIED'}, ${peer.fuzz.canaries} canaries`,
    )
  }
  if (peers !== undefined && peers.missing.length > 0)
    lines.push(`not found: ${peers.missing.join(', ')}`)
  return lines.join('\n')
}
