/**
 * `npm run conformance`: the server’s own test suite, directly and through the sidecar. The exit code is 0 when
 * the suite could be run, whatever it found, 1 when not, 2 for a wrong option.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { knownDifferences } from './known.ts'
import { type Difference, differences, passedCount } from './outcome.ts'
import { type Mode, type Options, parseOptions, UsageError, usage } from './options.ts'
import { renderPage } from './page.ts'
import { type ModeReport, type Report, type UnitFigures, sumUnits } from './report.ts'
import { fetchSuite, MissingError, prepareTools, suiteVersion } from './sources.ts'
import { startDirect, startThrough } from './targets.ts'
import { runUnit, type UnitPlan } from './unit-run.ts'

const say = (text: string) => void process.stderr.write(`${text}\n`)

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(130))
}
process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    if (options === undefined) {
      console.log(usage)
      return 0
    }
    const { fromFile } = options
    const before = fromFile && (JSON.parse(readFileSync(fromFile, 'utf8')) as Report)
    const now = options.modes.length > 0 ? await run(options) : undefined
    write({ ...before, ...now } as Report, options)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\n\n${usage}`)
      return 2
    }
    if (!(error instanceof MissingError)) throw error
    say(`conformance: ${error.message}`)
    return 1
  }
}

async function run(options: Options): Promise<Report> {
  prepareTools(say)
  const suite = fetchSuite(say)
  const known = unitsOf(suite)
  const unknown = (options.units ?? []).filter((unit) => !known.includes(unit))
  if (unknown.length > 0) throw new UsageError(`--units: the suite has no ${unknown.join(', ')}`)
  const units = known.filter((unit) => options.units?.includes(unit) ?? true)
  const reports: Partial<Record<Mode, ModeReport>> = {}
  for (const mode of options.modes) reports[mode] = await runMode(suite, units, mode)
  const { standalone, singleDatabase, perClient, cluster } = reports
  return {
    suiteVersion,
    server: execFileSync('redis-server', ['--version'], { encoding: 'utf8' }).trim(),
    ...(standalone && { standalone: standalone.totals, units: standalone.units }),
    ...(singleDatabase && { singleDatabase }),
    ...(perClient && { perClient }),
    ...(cluster && { cluster: { ...cluster.totals, units: cluster.units } }),
  }
}

function unitsOf(suite: string): string[] {
  const text = readFileSync(join(suite, 'tests', 'test_helper.tcl'), 'utf8')
  const [, list = ''] = /^set ::all_tests \{([^}]*)\}/m.exec(text) ?? []
  return list.split(/\s+/).filter((unit) => unit !== '')
}

async function runMode(suite: string, units: readonly string[], mode: Mode): Promise<ModeReport> {
  const figures: Record<string, UnitFigures> = {}
  for (const [index, unit] of units.entries()) {
    const startedMs = performance.now()
    const found = await compareUnit(suite, unit, mode)
    figures[unit] = found
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
    say(
      `[${mode} ${index + 1}/${units.length}] ${unit}: direct ${found.direct}, ` +
        `through ${found.passed} (${seconds} s)`,
    )
    for (const { test, reason } of found.skipped) say(`    ${test}\n        ${reason}`)
    for (const text of found.interruptions) say(`    interrupted: ${text.split('\n')[0]}`)
  }
  return { totals: sumUnits(figures), units: figures }
}

async function compareUnit(suite: string, unit: string, mode: Mode): Promise<UnitFigures> {
  const known = knownDifferences.filter(
    (one) => one.unit === unit && (one.modes?.includes(mode) ?? true),
  )
  const without = known.filter(({ isLeftOut }) => isLeftOut === true).map(({ test }) => test)
  const plan = { suite, unit, databases: databasesOf(mode) }
  const startTarget = () => startThrough(mode)
  const throughPlan = { ...plan, startTarget, without }
  const [direct, through] = await Promise.all([
    runUnit({ ...plan, startTarget: () => startDirect(mode), without: [] }),
    runUnit(throughPlan),
  ])
  const explain = (one: Difference) => {
    const reason = known.find(({ test }) => test === one.test)?.reason
    return reason === undefined ? one : { ...one, reason }
  }
  const first = differences(unit, direct.results, through.results)
  // A difference must show twice: many tests of the suite measure time.
  const isOpen = first.some((one) => explain(one) === one)
  const again = isOpen ? await runUnit(throughPlan) : undefined
  const skipped = first.filter(({ test }) => again?.results.get(test)?.kind !== 'passed')
  const directCount = passedCount(direct.results)
  return {
    direct: directCount,
    passed: directCount - skipped.length,
    skipped: skipped.map(explain),
    unsteady: first.filter((one) => !skipped.includes(one)).map(({ test }) => test),
    failedDirectly: [...direct.results].filter(([, { kind }]) => kind !== 'passed').length,
    interruptions: (again ?? through).interruptions,
  }
}

function databasesOf(mode: Mode): UnitPlan['databases'] {
  if (mode === 'cluster') return 'cluster'
  return mode === 'singleDatabase' ? 'one' : 'all'
}

function write(report: Report, options: Options): void {
  if (options.jsonFile !== undefined) {
    writeFileSync(options.jsonFile, `${JSON.stringify(report, undefined, 2)}\n`)
  }
  if (options.pageFile !== undefined) writeFileSync(options.pageFile, renderPage(report))
  for (const [mode, totals] of [
    ['standalone', report.standalone],
    ['singleDatabase', report.singleDatabase?.totals],
    ['perClient', report.perClient?.totals],
    ['cluster', report.cluster],
  ] as const) {
    if (totals !== undefined) {
      const percent = ((100 * totals.passed) / Math.max(1, totals.direct)).toFixed(2)
      console.log(`${mode}: ${totals.passed} of ${totals.direct} (${percent} %)`)
    }
  }
}
