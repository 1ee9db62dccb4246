/** The command line of `npm run bench`. Pure. */
import { parseArgs } from 'node:util'
import { type Section, sections } from './model.ts'
import { targetNames } from './targets.ts'

export interface Options {
  readonly sections: readonly Section[]
  readonly targets: readonly string[]
  /** Whether what is missing may be downloaded. */
  readonly mayDownload: boolean
  readonly roundCount: number
  /** Requests of one load, by pipeline depth; undefined: enough for `loadSeconds`, found by the warm-up. */
  readonly requests?: ReadonlyMap<number, number>
  readonly loadSeconds: number
  readonly isQuick: boolean
  readonly jsonFile?: string
}

export class UsageError extends Error {}

export const usage = `Usage: npm run bench -- [OPTIONS]

Starts a redis-server (or valkey-server) and every proxy found, all on loopback, runs the same loads through each
in turn, round by round, and prints throughput, latency, CPU per request and memory side by side.

  --only SECTIONS  comma-separated, of: ${sections.join(', ')}
  --targets NAMES  comma-separated, of: ${targetNames.join(', ')}
  --rounds N       measured rounds, default 5
  --requests N[,M] requests of a load without pipelining, and with -P 16 (default 10 N);
                   default: as many as the fastest target takes 1.2 s for
  --json FILE      leave every round, the medians, the ratios and the machine's facts there
  --offline        download nothing (otherwise Envoy, if there is none)
  --quick          two short rounds: shows that all runs, measures nothing
  --help`

/** @throws UsageError for anything that is not an option or has no meaning; undefined when help was asked for. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const values = parse(args)
  if (values.help === true) return undefined
  const isQuick = values.quick === true
  const requests = values.requests === undefined ? undefined : requestCounts(values.requests)
  return {
    sections: selected('--only', 'section', sections, values.only),
    targets: selected('--targets', 'target', targetNames, values.targets),
    mayDownload: values.offline !== true,
    roundCount: values.rounds === undefined ? (isQuick ? 2 : 5) : count('--rounds', values.rounds),
    ...(requests && { requests }),
    loadSeconds: isQuick ? 0.2 : 1.2,
    isQuick,
    ...(values.json !== undefined && { jsonFile: values.json }),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        rounds: { type: 'string' },
        requests: { type: 'string' },
        only: { type: 'string' },
        targets: { type: 'string' },
        json: { type: 'string' },
        offline: { type: 'boolean' },
        quick: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function count(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`${option} takes whole numbers above 0, not ${JSON.stringify(text)}`)
  }
  return value
}

function requestCounts(text: string): ReadonlyMap<number, number> {
  const [plain = '', pipelined, ...more] = text.split(',')
  if (more.length > 0) throw new UsageError('--requests takes one or two numbers')
  const plainCount = count('--requests', plain)
  return new Map([
    [1, plainCount],
    [16, pipelined === undefined ? 10 * plainCount : count('--requests', pipelined)],
  ])
}

/** Those of `known` that `text` names, in their own order; all without `text`. */
function selected<T extends string>(
  option: string,
  what: string,
  known: readonly T[],
  text: string | undefined,
): readonly T[] {
  if (text === undefined) return known
  const names = text.split(',').map((name) => name.trim())
  const unknown = names.filter((name) => !known.some((one) => one === name))
  if (unknown.length > 0) {
    throw new UsageError(
      `${option}: no ${what} ${unknown.join(', ')}; there are ${known.join(', ')}`,
    )
  }
  return known.filter((name) => names.includes(name))
}
