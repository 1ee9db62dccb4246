/** Histories as lines. Pure. */
import type { HistoryResult } from './history.ts'

export function historyLine(result: HistoryResult): string {
  const { seed, mode, variant, losses, problems } = result
  const reported = sum(losses.map((loss) => loss.reported ?? 0))
  const exact = losses.filter((loss) => loss.reported !== undefined && loss.reported === loss.seen)
  const known = losses.filter((loss) => loss.reported !== undefined)
  const parts = [
    `seed ${seed} ${mode} ${variant}`,
    `failovers ${result.failovers}${proofs(losses)}`,
    `acked ${result.acknowledged}`,
    `unknown ${result.unknown}`,
    `lost ${result.lost}+${result.lostCounts}`,
    `reported ${reported} B (${exact.length}/${known.length} exact of ${losses.length})`,
    `overlap ${result.overlapMs} ms`,
    `registers ${result.registers.wrong}/${result.registers.checked} wrong`,
    `errors ${result.errors} ${codes(result)}`,
    `stall ${result.longestStallMs} ms`,
    result.convergedMs === undefined ? 'NOT in order' : `in order after ${result.convergedMs} ms`,
    ...(result.isDecided ? ['a person decided'] : []),
    result.faults.join('; '),
  ]
  const lines = [parts.join(' | '), ...problems.map((problem) => `  PROBLEM ${problem}`)]
  if (result.directory !== undefined) lines.push(`  kept in ${result.directory}`)
  return lines.join('\n')
}

/** How each was known to be safe, and what it lost. */
function proofs(losses: HistoryResult['losses']): string {
  if (losses.length === 0) return ''
  const each = losses.map(
    ({ kind, proof, reported, seen, unknown }) =>
      `${proof ?? kind ?? '?'} ${reported ?? unknown ?? 'untold'}/${seen ?? '?'}`,
  )
  return ` (${each.join(', ')})`
}

function codes({ errorsByCode }: HistoryResult): string {
  return Object.entries(errorsByCode)
    .map(([code, count]) => `${code}:${count}`)
    .join(',')
}

export function sumLine(results: readonly HistoryResult[]): string {
  const of = (value: (result: HistoryResult) => number) => sum(results.map(value))
  const losses = results.flatMap((result) => result.losses)
  const known = losses.filter(({ reported }) => reported !== undefined)
  const compared = known.filter(({ seen }) => seen !== undefined)
  const exact = compared.filter(({ reported, seen }) => reported === seen)
  const converged = results.flatMap(({ convergedMs }) => convergedMs ?? [])
  return [
    `${results.length} histories`,
    `${of(({ problems }) => (problems.length > 0 ? 1 : 0))} with problems`,
    `${of(({ isDecided }) => Number(isDecided))} decided by a person`,
    `failovers ${losses.length}`,
    `acked ${of(({ acknowledged }) => acknowledged)}`,
    `unknown ${of(({ unknown }) => unknown)}`,
    `lost ${of(({ lost, lostCounts }) => lost + lostCounts)}`,
    `reported ${sum(known.map(({ reported }) => reported ?? 0))} B in ${known.length}, exact ${exact.length} of ${compared.length} compared`,
    `doubled ${of(({ doubled }) => doubled.length)}`,
    `refused but done ${of(({ refusedButDone }) => refusedButDone)}`,
    `overlap ${of(({ overlapMs }) => overlapMs)} ms`,
    `registers ${of(({ registers }) => registers.wrong)} wrong, ${of(({ registers }) => registers.undecided)} undecided of ${of(({ registers }) => registers.checked)}`,
    `errors ${of(({ errors }) => errors)}`,
    `longest stall ${Math.max(0, ...results.map(({ longestStallMs }) => longestStallMs))} ms`,
    `in order after ${Math.max(0, ...converged)} ms at most, ${results.length - converged.length} never`,
  ].join(' | ')
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
