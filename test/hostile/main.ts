/**
 * `npm run hostile`: what hostile clients and hostile servers can do to a sidecar, and to others. The exit code is 0
 * when respmesh did what it should, 1 when not, 2 for a wrong option.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, loadavg, release } from 'node:os'
import { serverProgram } from '../support/servers.ts'
import { type AbuseOutcome, abuses, tryAbuse } from './abuse.ts'
import { alignment } from './alignment/alignment.ts'
import { Bystander } from './bystander.ts'
import { fuzz } from './fuzz/fuzz.ts'
import { type Options, type Part, parseOptions, UsageError, usage } from './options.ts'
import { renderPage } from './page.ts'
import { failures, type Report, summary } from './report.ts'
import { runPeers } from './peers.ts'
import { runRows } from './rows-run.ts'
import { startSidecar } from './sites.ts'
import { hostileUpstream } from './upstream/upstream.ts'

/** What a bystander may wait for; with others at work on a machine it is not judged as strictly. */
const bystanderMsMax = 50
const bystanderMsMaxQuick = 1000
/** Damaged requests to each peer. */
const peerCases = 20_000
const peerCasesQuick = 1000
/** Of damaged and ordinary requests, before memory is looked at. */
const warmUpSeconds = 30
/** The alignment run ends with what it has after this. */
const alignmentMsMax = 3_600_000

const say = (text: string) => void process.stderr.write(`${text}\n`)

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(130))
}
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args, Date.now())
    if (options === undefined) {
      console.log(usage)
      return 0
    }
    const report =
      options.fromFile === undefined
        ? await run(options)
        : (JSON.parse(readFileSync(options.fromFile, 'utf8')) as Report)
    if (options.jsonFile !== undefined) {
      writeFileSync(options.jsonFile, `${JSON.stringify(report, undefined, 1)}\n`)
    }
    if (options.pageFile !== undefined) writeFileSync(options.pageFile, renderPage(report))
    const found = failures(report)
    console.log(
      ['', summary(report), '', ...found.map((failure) => `FAILED ${failure}`)].join('\n'),
    )
    return found.length === 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${usage}`)
    return 2
  }
}

async function run(options: Options): Promise<Report> {
  const { usesSources, seed, isQuick } = options
  const has = (part: Part) => options.parts.includes(part)
  say(`seed ${seed}`)
  const rowOptions = {
    usesSources,
    say,
    bystanderMsMax: isQuick ? bystanderMsMaxQuick : bystanderMsMax,
  }
  const rows = has('rows') ? await runRows(rowOptions) : undefined
  if (rows !== undefined) say(`rows: ${rows.rows.length} tried`)
  const abuse = has('abuse') ? await runAbuses(options) : undefined
  const upstreamOptions = { usesSources, seed, say, fuzzCount: options.upstreamCount }
  const upstream = has('upstream') ? await hostileUpstream(upstreamOptions) : undefined
  const fuzzed = has('fuzz')
    ? await fuzz({
        usesSources,
        seed,
        say,
        caseCount: options.caseCount,
        warmUpSeconds: isQuick ? 0 : warmUpSeconds,
      })
    : undefined
  const alignmentOptions = {
    usesSources,
    seed,
    say,
    replyCount: options.replyCount,
    deadlineMs: alignmentMsMax,
  }
  const aligned = has('alignment') ? await alignment(alignmentOptions) : undefined
  const peerOptions = { seed, say, caseCount: isQuick ? peerCasesQuick : peerCases }
  const peers = has('peers') ? await runPeers(peerOptions) : undefined
  return {
    at: new Date().toISOString(),
    server: execFileSync(serverProgram(), ['--version'], { encoding: 'utf8' }).trim(),
    machine: `${cpus().length} cores (${arch()}), Linux ${release()}, Node ${process.versions.node}`,
    loadAverage: loadavg()[0] ?? 0,
    ...(rows && { rows }),
    ...(fuzzed && { fuzz: fuzzed }),
    ...(upstream && { upstream }),
    ...(aligned && { alignment: aligned }),
    ...(abuse && { abuse }),
    ...(peers && { peers }),
  }
}

/** Each on a sidecar of its own, so that none pays for what another left behind. */
async function runAbuses({ usesSources, isQuick }: Options): Promise<AbuseOutcome[]> {
  const outcomes: AbuseOutcome[] = []
  for (const abuse of abuses) {
    const { password } = abuse
    const site = await startSidecar({ usesSources, ...(password !== undefined && { password }) })
    const bystander = new Bystander(site.port, site.server.port, password)
    outcomes.push(await tryAbuse(abuse, { site, bystander }, !isQuick))
    await bystander.stop()
    await site.stop()
    const { verdict, misses, figures } = outcomes.at(-1) as AbuseOutcome
    say(`${abuse.id} ${verdict} ${misses.join('; ')} ${JSON.stringify(figures)}`)
  }
  return outcomes
}
