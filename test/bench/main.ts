/**
 * `npm run bench`: respmesh beside the proxies that people use today, on the same machine, with the same loads,
 * at the same time. docs/reference/bench.md tells how to read the figures. It judges nothing: the exit code is
 * 0 when every target that was found did its work, however fast.
 */
import { writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { BenchError, type Outcome, type Plan, runBenchmark } from './bench.ts'
import { type KeyRatio, keyRatiosOf } from './key-ratios.ts'
import { machineFacts, programOnPath, sourceVersion, versionOf } from './machine.ts'
import { clientCount, keyCount, throughputLoads, valueBytes } from './model.ts'
import { type Options, parseOptions, UsageError, usage } from './options.ts'
import { Progress } from './progress.ts'
import {
  formatRate,
  keyRatioTable,
  memoryTable,
  ratioTable,
  sidecarMemoryTable,
  summaryTable,
} from './report.ts'
import { stagesOf } from './stages.ts'
import { median } from './statistics.ts'
import { ratiosOf, summarize } from './summary.ts'
import { proxies, targetsOf } from './targets.ts'

/** Above this share of foreign CPU time figures are not worth keeping. */
const foreignCpuShareMax = 0.05

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = parseOptions(args)
    if (options !== undefined) return await bench(options)
    console.log(usage)
    return 0
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`${error.message}\n\n${usage}`)
    return 2
  }
}

async function bench(options: Options): Promise<number> {
  const progress = new Progress((text) => process.stderr.write(text))
  const serverProgram = firstProgram('redis-server', 'valkey-server')
  const benchmarkProgram = firstProgram('redis-benchmark', 'valkey-benchmark')
  if (serverProgram === undefined || benchmarkProgram === undefined) {
    progress.say('bench: redis-server and redis-benchmark (or the ones of valkey) are needed:')
    progress.say('  apt-get install redis-server redis-tools   (or valkey-server valkey-tools)')
    return 1
  }
  if (process.platform !== 'linux') {
    progress.say('bench: CPU and memory are read from /proc, so only Linux can be measured')
    return 1
  }
  const facts = machineFacts()
  const found = findProxies(options, progress)
  const versions = {
    server: versionOf(serverProgram, ['--version']),
    benchmark: versionOf(benchmarkProgram, ['--version']),
    respmesh: sourceVersion(),
    ...Object.fromEntries(
      found.flatMap(({ proxy, program }) =>
        proxy.versionArgs ? [[proxy.name, versionOf(program, proxy.versionArgs)] as const] : [],
      ),
    ),
  }
  const interruption = interruptible(progress)
  const plan: Plan = {
    options,
    serverProgram,
    benchmarkProgram,
    proxies: found,
    cores: facts.cores,
    progress,
    signal: interruption.signal,
  }
  try {
    const outcome = await runBenchmark(plan)
    await report({ options, outcome, versions, facts }, progress)
    return outcome.failures.length === 0 ? 0 : 1
  } catch (error) {
    if (interruption.signal.aborted) {
      progress.say('stopped; nothing is left running')
      return 130
    }
    if (!(error instanceof BenchError)) throw error
    progress.say(`bench: ${error.message}`)
    return 1
  } finally {
    interruption.end()
  }
}

function firstProgram(...names: readonly string[]): string | undefined {
  return names.map(programOnPath).find((path) => path !== undefined)
}

function findProxies(options: Options, progress: Progress): Plan['proxies'] {
  const isWanted = (name: string) =>
    options.targets.includes(name) &&
    options.sections.some((section) => targetsOf(section).includes(name))
  return proxies
    .filter((proxy) => isWanted(proxy.name))
    .flatMap((proxy) => {
      const program = proxy.find(options.mayDownload)
      if (program !== undefined) return [{ proxy, program }]
      progress.say(`NOT FOUND: ${proxy.name}, not measured. To have it: ${proxy.hint}`)
      return []
    })
}

/** Turns the first signal into an abort, so that everything is stopped in order. */
function interruptible(progress: Progress) {
  const controller = new AbortController()
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const stop = () => {
    if (!controller.signal.aborted) progress.say('stopping …')
    controller.abort()
  }
  for (const signal of signals) process.on(signal, stop)
  return {
    signal: controller.signal,
    end: () => {
      for (const signal of signals) process.off(signal, stop)
    },
  }
}

interface Report {
  readonly options: Options
  readonly outcome: Outcome
  readonly versions: Readonly<Record<string, string>>
  readonly facts: ReturnType<typeof machineFacts>
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`
}

async function report(of: Report, progress: Progress) {
  const { options, outcome, versions, facts } = of
  const { samples, targets, memory, sidecarMemory, failures, requests, others } = outcome
  const loads = stagesOf(options).flatMap((stage) => stage.loads)
  const summaries = summarize(samples, targets, loads)
  const comparisons = ratiosOf(samples, targets, throughputLoads)
  const keyRatios = [...keyRatiosOf(samples), ...manyKeyRatios(outcome.manyKeys)]
  const foreign = samples.map((sample) => sample.foreignCpuShare)
  const foreignMedian = foreign.length === 0 ? 0 : median(foreign)
  const tables = [
    ...loads.map((load) => summaryTable(summaries, load.name)),
    ...(memory.length === 0 ? [] : [memoryTable(memory)]),
    ...(comparisons.length === 0 ? [] : [ratioTable(comparisons)]),
    ...(sidecarMemory === undefined ? [] : [sidecarMemoryTable(sidecarMemory)]),
    ...(keyRatios.length === 0 ? [] : [keyRatioTable(keyRatios)]),
  ]
  console.log(`\n${[heading(of), ...tables].join('\n\n')}\n`)
  if (foreignMedian > foreignCpuShareMax) {
    progress.say(
      `WARNING: other programs used ${percent(foreignMedian)} of the CPU: do not quote this`,
    )
  }
  for (const { target } of failures) progress.say(`FAILED: ${target}, see above`)
  if (options.jsonFile === undefined) return
  const content = {
    at: new Date().toISOString(),
    machine: { ...facts, loadAverageAfter: loadavg(), foreignCpuShare: foreignMedian, others },
    versions,
    load: { clientCount, valueBytes, keyCount, requests, roundCount: options.roundCount },
    sections: options.sections,
    targets,
    failures,
    ratios: byName(keyRatios, ({ spread }) => spread.median),
    ratioDetails: byName(keyRatios, ({ about, spread, aim }) => ({ about, ...spread, aim })),
    memory: sidecarMemory ?? {},
    memoryOfTargets: memory,
    comparisons,
    summaries,
    rounds: samples,
  }
  await writeFile(options.jsonFile, `${JSON.stringify(content, undefined, 2)}\n`)
  progress.say(`written: ${options.jsonFile}`)
}

function manyKeyRatios(manyKeys: Outcome['manyKeys']): KeyRatio[] {
  if (manyKeys === undefined) return []
  const about = 'respmesh-cluster3 / ioredis Cluster'
  return [
    { name: 'mgetVsClusterClient', about, spread: manyKeys.rate },
    { name: 'mgetP99VsClusterClient', about, spread: manyKeys.p99 },
  ]
}

function byName<T>(ratios: readonly KeyRatio[], pick: (ratio: KeyRatio) => T): Record<string, T> {
  return Object.fromEntries(ratios.map((ratio) => [ratio.name, pick(ratio)]))
}

/** What figures mean nothing without. */
function heading({ options, outcome, versions, facts }: Report): string {
  const foreign = outcome.samples.map((sample) => sample.foreignCpuShare)
  const used = outcome.others.map(({ name, seconds }) => `${name} ${seconds.toFixed(0)} s`)
  return [
    `${facts.cpu}, ${facts.cores} cores, Linux ${facts.kernel}, Node ${facts.node}`,
    ...Object.entries(versions).map(([name, version]) => `${name}: ${version}`),
    `${clientCount} connections where nothing else is said, ${valueBytes} B values, ${keyCount} keys, medians of ${options.roundCount} interleaved rounds; requests a round: ` +
      Object.entries(outcome.requests)
        .map(([load, count]) => `${load} ${formatRate(count)}`)
        .join('; '),
    `load average ${facts.loadAverageBefore[0]?.toFixed(2)} before; CPU used by other programs meanwhile: ` +
      `median ${percent(foreign.length === 0 ? 0 : median(foreign))}, at most ${percent(Math.max(0, ...foreign))}` +
      (used.length === 0 ? '' : ` (${used.join(', ')})`),
  ].join('\n')
}
