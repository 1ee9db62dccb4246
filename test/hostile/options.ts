/** The command line of `npm run hostile`. Pure. */
import { parseArgs } from 'node:util'

export const parts = ['rows', 'fuzz', 'upstream', 'alignment', 'abuse', 'peers'] as const
export type Part = (typeof parts)[number]

export interface Options {
  readonly parts: readonly Part[]
  readonly isQuick: boolean
  readonly seed: number
  readonly caseCount: number
  readonly replyCount: number
  readonly upstreamCount: number
  readonly usesSources: boolean
  readonly jsonFile?: string
  readonly pageFile?: string
  /** Figures of an earlier run, to make the page of. */
  readonly fromFile?: string
}

export class UsageError extends Error {}

export const usage = `Usage: npm run hostile -- [OPTIONS]

Sends a sidecar what no client library sends, and puts servers behind it that lie: a table of inputs with the reaction
to each, damaged requests with the server itself as judge, hostile replies, replies counted under cancels, and clients
that ask for much and read nothing; then the same inputs to the proxies that this machine has.

  --only PARTS    comma-separated, of: ${parts.join(', ')}
  --quick         the small size that CI runs
  --cases N       damaged requests, default 1,000,000 (quick: 3,000)
  --replies N     replies of the alignment run, default 10,000,000 (quick: 200,000)
  --seed N        of all that is random, default: the time
  --sources       a sidecar from the sources instead of the bundle
  --json FILE     leave all figures there
  --from FILE     run nothing, take the figures from there
  --page FILE     write docs/reference/hostile.md there
  --help`

/** @throws UsageError for anything that is not an option or has no meaning; undefined when help was asked for. */
export function parseOptions(args: readonly string[], nowMs: number): Options | undefined {
  const values = parse(args)
  if (values.help === true) return undefined
  const isQuick = values.quick === true
  const number = (name: 'cases' | 'replies' | 'seed', otherwise: number) =>
    values[name] === undefined ? otherwise : count(`--${name}`, values[name])
  const caseCount = number('cases', isQuick ? 3000 : 1_000_000)
  return {
    parts: selected(values.only),
    isQuick,
    seed: number('seed', nowMs % 2 ** 31),
    caseCount,
    replyCount: number('replies', isQuick ? 200_000 : 10_000_000),
    upstreamCount: isQuick ? 300 : 20_000,
    usesSources: values.sources === true,
    ...(values.json !== undefined && { jsonFile: values.json }),
    ...(values.page !== undefined && { pageFile: values.page }),
    ...(values.from !== undefined && { fromFile: values.from }),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        only: { type: 'string' },
        quick: { type: 'boolean' },
        cases: { type: 'string' },
        replies: { type: 'string' },
        seed: { type: 'string' },
        sources: { type: 'boolean' },
        json: { type: 'string' },
        from: { type: 'string' },
        page: { type: 'string' },
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

function selected(only: string | undefined): readonly Part[] {
  if (only === undefined) return parts
  const names = only.split(',').map((name) => name.trim())
  const unknown = names.filter((name) => !parts.some((part) => part === name))
  if (unknown.length > 0) {
    throw new UsageError(`--only: no part ${unknown.join(', ')}; there are ${parts.join(', ')}`)
  }
  return parts.filter((part) => names.includes(part))
}
