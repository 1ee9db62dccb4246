/** The tables of a benchmark as text. Pure. */
import type { KeyRatio } from './key-ratios.ts'
import type { Memory, Ratio, SidecarMemory, Summary } from './model.ts'
import type { Spread } from './statistics.ts'

const mebibyte = 1024 * 1024

/** `71.3k`, `1234k`: three significant digits or all of those before the point. */
export function formatRate(perSecond: number): string {
  return perSecond >= 1000 ? `${significant(perSecond / 1000)}k` : significant(perSecond)
}

function significant(value: number): string {
  if (value >= 100) return value.toFixed(0)
  return value.toFixed(value >= 10 ? 1 : 2)
}

/** Columns as wide as their widest cell, the first one left-aligned, the others right-aligned. */
export function formatTable(
  header: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const all = [header, ...rows]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const lines = all.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return column === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}

export function summaryTable(summaries: readonly Summary[], load: string): string {
  const rows = summaries
    .filter((summary) => summary.load === load)
    .map((summary) => [
      summary.target,
      formatRate(summary.requestsPerSecond.median),
      range(summary.requestsPerSecond, formatRate),
      summary.p50Ms.median.toFixed(3),
      summary.p99Ms.median.toFixed(3),
      range(summary.p99Ms, (value) => value.toFixed(2)),
      summary.proxyCpuUs === undefined ? '–' : summary.proxyCpuUs.median.toFixed(2),
      summary.serverCpuUs.median.toFixed(2),
    ])
  const header = [
    'req/s',
    'min–max',
    'p50 ms',
    'p99 ms',
    'min–max',
    'proxy µs/req',
    'server µs/req',
  ]
  return formatTable([load, ...header], rows)
}

export function memoryTable(memory: readonly Memory[]): string {
  const mib = (bytes: number) => (bytes / mebibyte).toFixed(1)
  return formatTable(
    ['RSS of the proxy, MiB', 'at rest', 'after load', 'peak'],
    memory.map((one) => [
      one.target,
      mib(one.atRestBytes),
      mib(one.afterLoadBytes),
      mib(one.peakBytes),
    ]),
  )
}

export function ratioTable(ratios: readonly Ratio[]): string {
  const figure = (value: number) => value.toFixed(2)
  return formatTable(
    ['ratio, median of rounds', 'load', 'req/s', 'min–max', 'p99', 'proxy CPU'],
    ratios.map((ratio) => [
      `${ratio.target} / ${ratio.against}`,
      ratio.load,
      figure(ratio.requestsPerSecond.median),
      range(ratio.requestsPerSecond, figure),
      figure(ratio.p99Ms.median),
      ratio.proxyCpuUs === undefined ? '–' : figure(ratio.proxyCpuUs.median),
    ]),
  )
}

/** What the project aims for, and what came of it. */
export function keyRatioTable(ratios: readonly KeyRatio[]): string {
  const figure = (value: number) => value.toFixed(2)
  return formatTable(
    ['aim', 'median', 'min–max', 'wanted', ''],
    ratios.map(({ name, about, spread, aim }) => [
      `${name} (${about})`,
      figure(spread.median),
      range(spread, figure),
      aim === undefined ? '' : `${aim.sign} ${aim.value}`,
      aim === undefined ? '' : isMet(spread.median, aim) ? 'met' : 'MISSED',
    ]),
  )
}

function isMet(value: number, aim: NonNullable<KeyRatio['aim']>): boolean {
  return aim.sign === '≥' ? value >= aim.value : value <= aim.value
}

export function sidecarMemoryTable(memory: SidecarMemory): string {
  const mib = (bytes: number) => (bytes / mebibyte).toFixed(1)
  return formatTable(
    ['memory of a sidecar', 'MiB'],
    [
      ['at rest', mib(memory.restBytes)],
      [`with ${memory.idleClients} idle clients`, mib(memory.idle10kBytes)],
      [`growth for a value of ${mib(memory.bigValueBytes)} MiB`, mib(memory.bigValueGrowthBytes)],
    ],
  )
}

function range(spread: Spread, format: (value: number) => string): string {
  return `${format(spread.min)}–${format(spread.max)}`
}
