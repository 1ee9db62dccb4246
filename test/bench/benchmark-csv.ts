/** The output of `redis-benchmark --csv`, by column name, since servers add columns. Pure. */

export interface BenchmarkRow {
  readonly test: string
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const columns = ['test', 'rps', 'p50_latency_ms', 'p99_latency_ms'] as const

/**
 * The rows after the header; lines around them (warnings) are passed over.
 * @throws Error without a header that has the columns needed, or when a row's figures are not numbers.
 */
export function parseBenchmarkCsv(text: string): BenchmarkRow[] {
  const lines = text.split(/[\r\n]+/).filter((line) => line.startsWith('"'))
  const header = cells(lines[0] ?? '')
  const [test, rps, p50, p99] = columns.map((name) => header.indexOf(name))
  if (test === undefined || rps === undefined || p50 === undefined || p99 === undefined) {
    throw new Error('unreachable: columns has four names')
  }
  const missing = columns.filter((name) => !header.includes(name))
  if (missing.length > 0) {
    throw new Error(
      `redis-benchmark --csv gave no column ${missing.join(', ')} (version 7 or newer needed): ` +
        JSON.stringify(text.slice(0, 400)),
    )
  }
  return lines.slice(1).map((line) => {
    const row = cells(line)
    const number = (index: number) => {
      const value = Number(row[index] || Number.NaN)
      if (!Number.isFinite(value)) throw new Error(`redis-benchmark: not a row of figures: ${line}`)
      return value
    }
    return {
      test: row[test] ?? '',
      requestsPerSecond: number(rps),
      p50Ms: number(p50),
      p99Ms: number(p99),
    }
  })
}

function cells(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? '')
}
