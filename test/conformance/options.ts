/** The command line of `npm run conformance`. Pure. */
import { parseArgs } from 'node:util'

/**
 * How the suite uses the server, on database 9 as it does by itself, or on 0 with no SELECT, whether the sidecar
 * has its clients share connections, and whether the server is a cluster of one node, which has all slots.
 */
export type Mode = 'standalone' | 'singleDatabase' | 'perClient' | 'cluster'
export const modes: readonly Mode[] = ['standalone', 'singleDatabase', 'perClient', 'cluster']

export interface Options {
  /** Names as the suite has them, e.g. `unit/multi`; undefined: all of them. */
  readonly units?: readonly string[]
  readonly modes: readonly Mode[]
  readonly jsonFile?: string
  readonly pageFile?: string
  /** Results of an earlier run, for the modes that are not run. */
  readonly fromFile?: string
}

export class UsageError extends Error {}

/** What shows within two minutes whether the sidecar is fit: all that has to do with connections. */
const quickUnits = ['multi', 'pubsub', 'pubsubshard', 'protocol', 'tracking', 'quit', 'type/list']

export const usage = `Usage: npm run conformance -- [OPTIONS]

Runs the server’s own test suite (from Debian’s source package of redis 7.0.15, fetched into the cache) twice per
unit: directly against a fresh server, and against another through a sidecar. Tells which tests pass directly and
not through the sidecar.

  --units A,B    only these, e.g. unit/multi or multi
  --quick        only ${quickUnits.join(', ')}
  --mode NAME    ${modes.join(' | ')}; default all: on database 9 every client
                 has a connection of its own, on database 0 clients share one; perClient: on database 9
                 with a sidecar whose isolation is perClient; cluster: --cluster-mode of the suite, with a
                 cluster of one node and a sidecar whose upstream.mode is cluster
  --json FILE    leave the figures and every difference there
  --page FILE    write the figures as a page (docs/reference/compatibility.md)
  --from FILE    take the figures of an earlier --json and run nothing, or only the --mode that is named
  --help`

/** @throws UsageError for anything that is not an option; undefined when help was asked for. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const values = parse(args)
  if (values.help === true) return undefined
  const given = values.units?.split(',') ?? (values.quick === true ? quickUnits : undefined)
  return {
    modes: modesOf(values),
    ...(given && { units: given.map(unitName) }),
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
        units: { type: 'string' },
        quick: { type: 'boolean' },
        mode: { type: 'string' },
        json: { type: 'string' },
        page: { type: 'string' },
        from: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

function modesOf({ mode, from }: ReturnType<typeof parse>): readonly Mode[] {
  if (mode !== undefined) return [modeOf(mode)]
  return from === undefined ? modes : []
}

function modeOf(text: string): Mode {
  const mode = modes.find((name) => name === text)
  if (mode !== undefined) return mode
  throw new UsageError(`--mode takes ${modes.join(' or ')}, not ${JSON.stringify(text)}`)
}

function unitName(text: string): string {
  const name = text.trim()
  return /^(unit|integration)\//.test(name) ? name : `unit/${name}`
}
