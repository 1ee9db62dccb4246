/** How long writers stall when the primary is lost or replaced: respmesh and Redis Sentinel, in turns. */
import type { Contender } from './contender.ts'
import type { Random } from '../sim/random.ts'
import { type Row, kinds, ms, quantile } from './row.ts'
import { type FaultKind, type Tally, type Trial, add, nothing, runTrial } from './trial.ts'

export interface Series {
  readonly trials: readonly Trial[]
  /** Trials that came to no end, and why. */
  readonly stuck: readonly string[]
}

export interface SeriesOptions {
  readonly faults: readonly FaultKind[]
  /** Of each fault. */
  readonly trials: number
  readonly random: Random
  readonly onTrial?: (trial: Trial, number: number) => void
}

export async function runSeries(
  contenders: readonly Contender[],
  { faults, trials: count, random, onTrial }: SeriesOptions,
): Promise<Series> {
  const trials: Trial[] = []
  const stuck: string[] = []
  for (let number = 0; number < count; number += 1) {
    for (const fault of faults) {
      for (const contender of contenders) {
        const pass = `${fault}-${number}`
        try {
          const afterMs = 200 + 300 * random.next()
          const trial = await runTrial(contender, fault, { pass, afterMs })
          trials.push(trial)
          onTrial?.(trial, number)
        } catch (error) {
          const text = error instanceof Error ? error.message.slice(0, 300) : String(error)
          stuck.push(`${contender.name} ${pass}: ${text}`)
          console.log(`STUCK ${stuck.at(-1) ?? ''}`)
        }
      }
    }
  }
  return { trials, stuck }
}

export interface Summary {
  readonly fault: FaultKind
  readonly contender: Contender['name']
  readonly count: number
  readonly stallMs: Quantiles
  readonly noiseMs: Quantiles
  readonly namedAfterMs: Quantiles
  readonly parts?: Readonly<Record<'detect' | 'fence' | 'promote' | 'resume', Quantiles>>
  readonly tally: Tally
}

interface Quantiles {
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export function summarize(trials: readonly Trial[]): readonly Summary[] {
  const groups = Map.groupBy(trials, ({ fault, contender }) => `${fault} ${contender}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { fault, contender } = first
    const phases = group.flatMap((each) => (each.phases === undefined ? [] : [each.phases]))
    return {
      fault,
      contender,
      count: group.length,
      stallMs: quantiles(group.map(({ stallMs }) => stallMs)),
      noiseMs: quantiles(group.map(({ noiseMs }) => noiseMs)),
      namedAfterMs: quantiles(group.map(({ namedAfterMs }) => namedAfterMs)),
      ...(phases.length > 0 && {
        parts: {
          detect: quantiles(phases.map(({ detectMs }) => detectMs)),
          fence: quantiles(phases.map(({ fenceMs }) => fenceMs)),
          promote: quantiles(phases.map(({ promoteMs }) => promoteMs)),
          resume: quantiles(group.map(({ resumeMs = Number.NaN }) => resumeMs)),
        },
      }),
      tally: group.reduce(add, nothing),
    }
  })
}

function quantiles(values: readonly number[]): Quantiles {
  return { p50: quantile(values, 0.5), p99: quantile(values, 0.99), max: quantile(values, 1) }
}

/** What the summaries of one series say of what was aimed at. */
export function rowsOf(summaries: readonly Summary[], downAfterMs: number): readonly Row[] {
  const ours = summaries.filter(({ contender }) => contender === 'respmesh')
  return ours.flatMap((summary) => {
    const { fault, stallMs, tally, count } = summary
    const aim = aims(downAfterMs)[fault]
    const other = summaries.find((each) => each.fault === fault && each.contender === 'sentinel')
    const what = `${fault}, downAfter ${downAfterMs} ms`
    const figure = `p50 ${ms(stallMs.p50)}, p99 ${ms(stallMs.p99)}, max ${ms(stallMs.max)} of ${count}`
    const rows: Row[] = [
      {
        id: aim.id,
        what: `${what}: longest stall`,
        figure,
        aim: aim.text,
        isMet: aim.isMet(stallMs),
      },
      {
        id: 'R2',
        what: `${what}: errors`,
        figure: `${kinds(tally.errors)}; at most ${tally.unknownPerWriterMax} of unknown outcome on a connection, ${tally.refused} others`,
        aim:
          fault === 'switchover'
            ? 'none'
            : '≤ 1 of unknown outcome on a connection per fault, no others',
        isMet: tally.refused === 0 && tally.unknownPerWriterMax <= (fault === 'switchover' ? 0 : 1),
      },
      {
        id: 'R3',
        what: `${what}: acknowledged writes lost`,
        figure: `${tally.lost} of ${tally.acked}, ${tally.doubled} run twice`,
        aim: '0',
        isMet: tally.lost === 0 && tally.doubled === 0,
      },
    ]
    if (other === undefined) return rows
    return [...rows, versus(summary, other, what)]
  })
}

function versus(ours: Summary, theirs: Summary, what: string): Row {
  const { stallMs, tally } = theirs
  return {
    id: 'Sentinel',
    what,
    figure: `p50 ${ms(stallMs.p50)}, p99 ${ms(stallMs.p99)}, max ${ms(stallMs.max)} of ${theirs.count}; errors: ${kinds(tally.errors)}; ${tally.lost} of ${tally.acked} lost, ${tally.doubled} run twice`,
    aim: 'respmesh has the shorter stall at p50',
    isMet: ours.stallMs.p50 < stallMs.p50,
  }
}

interface Aim {
  readonly id: string
  readonly text: string
  readonly isMet: (stall: Quantiles) => boolean
}

function aims(downAfterMs: number): Readonly<Record<FaultKind, Aim>> {
  const unreachableMs = downAfterMs + 1500
  return {
    kill: {
      id: 'R1',
      text: 'p50 ≤ 900 ms, max ≤ 1500 ms',
      isMet: ({ p50, max }) => p50 <= 900 && max <= 1500,
    },
    unreachable: {
      id: 'R1',
      text: `max ≤ ${unreachableMs} ms`,
      isMet: ({ max }) => max <= unreachableMs,
    },
    hung: {
      id: 'R4',
      text: `max ≤ ${unreachableMs} ms`,
      isMet: ({ max }) => max <= unreachableMs,
    },
    switchover: { id: 'switchover', text: 'p50 ≤ 5 ms', isMet: ({ p50 }) => p50 <= 5 },
  }
}
