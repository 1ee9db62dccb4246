/** A random schedule of faults: plain values that a seed gives again. */
import { Random } from '../sim/random.ts'

/** A server by its role when the fault begins, or a node by its name. */
export type Target = 'primary' | `replica-${number}` | `sidecar-${number}` | 'operator'

/**
 * What a server has when it is started again. It follows nobody then, as in our examples, until it is told to; as
 * `emptyPrimary` it is a primary without data, as a plain container is.
 */
export type Back = 'data' | 'empty' | 'emptyPrimary'

export type Fault =
  | { readonly kind: 'kill'; readonly at: Target; readonly back: Back }
  | { readonly kind: 'stop'; readonly at: Target }
  | { readonly kind: 'unplug'; readonly at: Target }
  | { readonly kind: 'part'; readonly a: Target; readonly b: Target }
  | { readonly kind: 'oneWay'; readonly from: Target; readonly to: Target }
  | { readonly kind: 'port'; readonly client: Target; readonly server: Target }
  | { readonly kind: 'reject'; readonly from: Target; readonly to: Target }
  | { readonly kind: 'split'; readonly left: readonly Target[] }
  /** The operator kills itself at this step, if it comes there. */
  | { readonly kind: 'step'; readonly point: string }
  | { readonly kind: 'switchover' }

export interface Planned {
  /** From the start of the history, milliseconds. */
  readonly atMs: number
  readonly forMs: number
  readonly fault: Fault
}

export interface ScheduleOptions {
  readonly servers: number
  readonly sidecars: number
  /** How many servers may lose their data. */
  readonly emptyMax: number
  readonly durationMs: { readonly min: number; readonly max: number }
}

export interface Schedule {
  readonly durationMs: number
  readonly planned: readonly Planned[]
}

const countMin = 3
const countMax = 8
const faultMinMs = 300
const faultMaxMs = 5000
/** Before the first. */
const leadMs = 500

const points = [
  'before record:Fencing',
  'after record:Fencing',
  'before record:Selecting',
  'after record:Selecting',
  'before record:Promoting',
  'after record:Promoting',
  'before promote',
  'after promote',
  'before record:Publishing',
  'after record:Publishing',
  'before record:Rejoining',
  'after record:Rejoining',
  'before record:Switching',
  'after record:Switching',
  'before handOver',
  'after handOver',
  'before record:Steady',
  'after record:Steady',
  'before replicate',
  'after replicate',
] as const

export function scheduleOf(seed: number, options: ScheduleOptions): Schedule {
  const random = new Random(seed)
  const { min, max } = options.durationMs
  const durationMs = min + random.below(max - min)
  const count = countMin + random.below(countMax - countMin + 1)
  let emptyLeft = options.emptyMax
  const planned = Array.from({ length: count }, (): Planned => {
    const fault = faultOf(random, options, emptyLeft > 0)
    if (fault.kind === 'kill' && fault.back !== 'data') emptyLeft -= 1
    const atMs = leadMs + random.below(durationMs - leadMs)
    return { atMs, forMs: faultMinMs + random.below(faultMaxMs - faultMinMs), fault }
  })
  return { durationMs, planned: planned.sort((a, b) => a.atMs - b.atMs) }
}

function faultOf(random: Random, options: ScheduleOptions, mayBeEmpty: boolean): Fault {
  const server = () => serverOf(random, options)
  const sidecar = (): Target => `sidecar-${1 + random.below(options.sidecars)}`
  const someone = () => random.pick([server, sidecar, (): Target => 'operator'])()
  /** Two nodes, one of which is a server. */
  const pair = (): readonly [Target, Target] => {
    const first = server()
    const second = someone()
    return first === second ? ['primary', 'replica-1'] : [first, second]
  }
  const back = () => backOf(random, mayBeEmpty)
  const kinds = [
    (): Fault => ({ kind: 'kill', at: server(), back: back() }),
    (): Fault => ({ kind: 'kill', at: 'primary', back: back() }),
    (): Fault => ({ kind: 'kill', at: 'primary', back: back() }),
    (): Fault => ({ kind: 'kill', at: random.pick([sidecar(), 'operator']), back: 'data' }),
    (): Fault => ({ kind: 'stop', at: 'primary' }),
    (): Fault => ({ kind: 'stop', at: someone() }),
    (): Fault => ({ kind: 'unplug', at: 'primary' }),
    (): Fault => ({ kind: 'unplug', at: someone() }),
    (): Fault => parted('part', pair()),
    (): Fault => ({ kind: 'part', a: 'operator', b: random.pick([sidecar(), 'primary']) }),
    (): Fault => oneWay(pair(), random.chance(0.5)),
    (): Fault => oneWay(pair(), random.chance(0.5)),
    (): Fault => parted('port', pair()),
    (): Fault => ({ kind: 'reject', from: random.pick([sidecar(), 'operator']), to: 'primary' }),
    (): Fault => ({ kind: 'split', left: leftOf(random, options) }),
    (): Fault => ({ kind: 'step', point: random.pick(points) }),
    (): Fault => ({ kind: 'step', point: random.pick(points) }),
    (): Fault => ({ kind: 'switchover' }),
    (): Fault => ({ kind: 'switchover' }),
  ]
  return random.pick(kinds)()
}

function parted(kind: 'part' | 'port', [a, b]: readonly [Target, Target]): Fault {
  return kind === 'part' ? { kind, a, b } : { kind, client: b, server: a }
}

function oneWay([a, b]: readonly [Target, Target], isBack: boolean): Fault {
  return isBack ? { kind: 'oneWay', from: b, to: a } : { kind: 'oneWay', from: a, to: b }
}

/** The primary every other time: what happens to it matters most. */
function serverOf(random: Random, { servers }: ScheduleOptions): Target {
  return random.chance(0.5) ? 'primary' : `replica-${1 + random.below(servers - 1)}`
}

function backOf(random: Random, mayBeEmpty: boolean): Back {
  if (!mayBeEmpty || random.chance(0.6)) return 'data'
  return random.pick(['empty', 'emptyPrimary'])
}

/** One side of a split: never nobody, never all. */
function leftOf(random: Random, { servers, sidecars }: ScheduleOptions): readonly Target[] {
  const all: Target[] = ['primary', 'operator']
  for (let index = 1; index < servers; index += 1) all.push(`replica-${index}`)
  for (let index = 1; index <= sidecars; index += 1) all.push(`sidecar-${index}`)
  const left = all.filter(() => random.chance(0.5))
  return left.length === 0 || left.length === all.length ? ['primary'] : left
}

const afterwards = { data: '', empty: ', back empty', emptyPrimary: ', back as an empty primary' }

export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'kill':
      return `kill ${fault.at}${afterwards[fault.back]}`
    case 'stop':
    case 'unplug':
      return `${fault.kind} ${fault.at}`
    case 'part':
      return `part ${fault.a}|${fault.b}`
    case 'oneWay':
      return `cut ${fault.from}>${fault.to}`
    case 'port':
      return `cut port ${fault.client}|${fault.server}`
    case 'reject':
      return `reject ${fault.from}>${fault.to}`
    case 'split':
      return `split off ${fault.left.join('+')}`
    case 'step':
      return `operator dies ${fault.point}`
    case 'switchover':
      return 'switchover'
    default:
      throw new Error(`no such fault: ${JSON.stringify(fault satisfies never)}`)
  }
}
