/** The page of figures in the docs, written from what a run kept. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Row, kinds, ms } from './row.ts'
import type { Summary } from './times.ts'

export interface Figures {
  readonly seed: number
  readonly version: string
  readonly server: string
  readonly at: string
  /** Of the machine, before anything was begun, over a minute. */
  readonly loadBefore: number
  readonly rows: Row[]
  readonly series: { readonly downAfterMs: number; readonly summaries: readonly Summary[] }[]
  readonly failed: string[]
}

const file = join(import.meta.dirname, '..', '..', 'docs', 'reference', 'failover-figures.md')

export function writePage(figures: Figures): void {
  writeFileSync(file, pageOf(figures))
}

/** Whose names say little; the page says what they are. */
const names = { respmesh: 'respmesh', sentinel: 'Redis Sentinel' } as const

function pageOf({ seed, version, server, at, loadBefore, rows, series, failed }: Figures): string {
  const checks = rows.filter(({ id }) => id !== 'Sentinel')
  return [
    introduction,
    `Measured ${at.slice(0, 10)} with respmesh ${version} and ${server}; seed ${seed}, load average ${loadBefore.toFixed(1)} before it began.`,
    '',
    ...series.flatMap(({ downAfterMs, summaries }) => timesTable(downAfterMs, summaries)),
    ...partsTable(series[0]?.summaries ?? []),
    '## Checks',
    '',
    '| check | what | figure | aim | met |',
    '|---|---|---|---|---|',
    ...checks.map(checkLine),
    '',
    notes,
    ...(failed.length === 0
      ? []
      : ['Parts that came to no end:', '', ...failed.map((text) => `- ${text}`), '']),
  ].join('\n')
}

const introduction = `# Figures of failovers

What clients notice when a primary is lost or replaced. Real servers, sidecars, an operator, and three Redis Sentinels for
comparison, each in a network namespace of its own; 8 writers with ioredis and its defaults, each with one unique write after the
other, the next only after the reply. A stall is the longest that any one writer had no acknowledgement. Writers of Sentinel use
ioredis with its own Sentinel support and \`failoverDetector\`; they send again by themselves what was not answered, so that they
see stalls where others see errors; one that has ended for good is replaced by a new one. Both have the same \`downAfter\`, and take turns in one run.

Repeat it, as root on Linux: \`npm run bench:failover -- --all --json figures.json --page\`; \`--only R6\` for one check,
\`--seed\` for the same moments of faults.
`

const notes = `Where nothing is said of \`waitReplicas\`, replication is asynchronous: a server that is killed in the very turn in which it has answered clients
and not yet sent the same to its replicas takes those writes with it. That is a handful of writes in a few of a hundred kills, and as many as were answered in that turn:
dozens where many transactions end at once (R15). [With \`waitReplicas: 1\` none is lost](../explanation/failover.md#what-can-be-lost).

The 513 of R21 are another matter: a replica that was told to follow somebody else dropped what it had received and not yet taken. Since then replicas are given the time for
that (\`test/integration/failover/drain.test.ts\`); this run is from before.

[Random faults, simulated worlds and Kubernetes](failover-histories.md) are on a page of their own.
`

function timesTable(downAfterMs: number, summaries: readonly Summary[]): readonly string[] {
  return [
    `## Stalls, downAfter ${downAfterMs} ms`,
    '',
    '| fault | | trials | stall p50 | p99 | max | next primary named, p50 | stall before the fault, p50 | errors | acknowledged writes lost | run twice |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
    ...summaries.map(({ fault, contender, count, stallMs, namedAfterMs, noiseMs, tally }) =>
      line([
        fault,
        names[contender],
        String(count),
        ms(stallMs.p50),
        ms(stallMs.p99),
        ms(stallMs.max),
        ms(namedAfterMs.p50),
        ms(noiseMs.p50),
        kinds(tally.errors),
        `${tally.lost} of ${tally.acked}`,
        String(tally.doubled),
      ]),
    ),
    '',
  ]
}

function partsTable(summaries: readonly Summary[]): readonly string[] {
  return [
    '## Where the time goes',
    '',
    'Medians, from the record of the operator: until it acts, until nobody can write to the old primary, until the next one is',
    'named, and from there until the last writer goes on.',
    '',
    '| fault | detect | fence | promote | resume |',
    '|---|---|---|---|---|',
    ...summaries.flatMap(({ fault, parts }) =>
      parts === undefined
        ? []
        : [
            line([
              fault,
              ms(parts.detect.p50),
              ms(parts.fence.p50),
              ms(parts.promote.p50),
              ms(parts.resume.p50),
            ]),
          ],
    ),
    '',
  ]
}

function checkLine({ id, what, figure, aim, isMet }: Row): string {
  return line([id, what, figure, aim, isMet ? 'yes' : '**no**'])
}

function line(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '/')).join(' | ')} |`
}
