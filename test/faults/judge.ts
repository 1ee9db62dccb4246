/** Judges a history by what is left of it: see `Found`. */
import {
  type FinalData,
  type Tenure,
  checkKeeping,
  findOverlaps,
  findUsurpers,
  lostBytesSeen,
  streamBytes,
  troubleOf,
} from './checks.ts'
import type { Lab } from './lab/index.ts'
import { type RegisterOp, isLinearizable } from './linearizable.ts'
import type { Execution, Sample, ServerWatch } from './watch.ts'
import { type Op, wordsOf } from './workload.ts'

/** confirmed: replicas have a write before its client hears of it. */
export type Mode = 'async' | 'confirmed'

/** What the operator said that a failover lost, and what it did lose by what the servers said. */
export interface LossReport {
  readonly epoch: number
  readonly kind?: string
  readonly proof?: string
  readonly reported?: number
  readonly unknown?: string
  readonly seen?: number
  /** Of the acknowledged writes that are lost, those that its old primary had run. */
  readonly acknowledgedBytes: number
}

export interface Found {
  readonly failovers: number
  readonly operations: number
  readonly acknowledged: number
  readonly unknown: number
  readonly lost: number
  readonly lostCounts: number
  readonly losses: readonly LossReport[]
  readonly doubled: readonly string[]
  readonly refusedButDone: number
  readonly overlapMs: number
  /** Ran acknowledged writes without ever having been the recorded primary. */
  readonly usurpers: readonly string[]
  /** Were promoted, and never the recorded primary. */
  readonly strays: readonly string[]
  /** Epochs that had more than one primary on record. */
  readonly epochsShared: readonly number[]
  readonly registers: {
    readonly checked: number
    readonly wrong: number
    readonly undecided: number
  }
  readonly errors: number
  readonly errorsByCode: Readonly<Record<string, number>>
  readonly longestStallMs: number
}

export interface Evidence {
  readonly lab: Lab
  readonly ops: readonly Op[]
  readonly watch: ServerWatch
  readonly mode: Mode
  readonly data: FinalData
}

export function judge(evidence: Evidence): Found & { readonly problems: readonly string[] } {
  const { lab, ops, watch, data } = evidence
  const keeping = checkKeeping(ops, data)
  const tenures = tenuresOf(lab)
  const executions = acknowledgedExecutions(ops, watch)
  const overlaps = findOverlaps(tenures, executions)
  const losses = lossesOf(evidence, tenures, keeping.lost)
  const found: Found = {
    failovers: losses.length,
    operations: ops.length,
    acknowledged: ops.filter(({ kind, outcome }) => kind !== 'read' && outcome === 'ok').length,
    unknown: ops.filter(({ kind, outcome }) => kind !== 'read' && outcome === 'unknown').length,
    lost: keeping.lost.length,
    lostCounts: keeping.lostCounts,
    losses,
    doubled: keeping.doubled,
    refusedButDone: keeping.refusedButDone.length,
    overlapMs: Math.round(Math.max(0, ...overlaps.map(({ ms }) => ms))),
    usurpers: findUsurpers(tenures, executions),
    strays: findUsurpers(tenures, promoted(watch.samples)),
    epochsShared: epochsShared(tenures),
    registers: registersOf(ops),
    ...troubleOf(ops),
  }
  return { ...found, problems: problemsOf(found, evidence.mode) }
}

function problemsOf(found: Found, mode: Mode): readonly string[] {
  const isLossless = found.losses.every(({ reported }) => reported === 0)
  const rules: readonly (readonly [boolean, string])[] = [
    [found.overlapMs > 0, `two primaries ran acknowledged writes, ${found.overlapMs} ms`],
    [found.usurpers.length > 0, `writes of ${found.usurpers.join()}, never on record as primary`],
    [found.strays.length > 0, `${found.strays.join()} were promoted, never on record`],
    [found.epochsShared.length > 0, `two primaries in epoch ${found.epochsShared.join()}`],
    [found.doubled.length > 0, `done twice: ${found.doubled.slice(0, 5).join()}`],
    [found.refusedButDone > 0, `${found.refusedButDone} refused writes were done`],
    [mode === 'confirmed' && found.lost + found.lostCounts > 0, 'confirmed writes are lost'],
    [found.failovers === 0 && found.lost > 0, 'writes are lost although the primary stayed'],
    [isLossless && found.registers.wrong > 0, `${found.registers.wrong} registers make no sense`],
    ...found.losses.map(lossProblem),
    ...found.losses.map(unexplained),
  ]
  return rules.filter(([isWrong]) => isWrong).map(([, text]) => text)
}

function lossProblem(loss: LossReport): readonly [boolean, string] {
  const { epoch, reported, seen, acknowledgedBytes } = loss
  const isWrong =
    reported !== undefined &&
    ((seen !== undefined && seen !== reported) || reported < acknowledgedBytes)
  return [
    isWrong,
    `epoch ${epoch}: ${reported} bytes lost as told, ${seen} seen, ${acknowledgedBytes} acknowledged`,
  ]
}

/** What one lost of the last moments before its death, which nobody saw, bytes. */
const unseenMax = 65_536

/** More is lost than what the new primary lacked of the old one’s history: replicas were overwritten. */
function unexplained({
  epoch,
  seen = 0,
  acknowledgedBytes,
}: LossReport): readonly [boolean, string] {
  const isWrong = acknowledgedBytes > seen + unseenMax
  return [
    isWrong,
    `epoch ${epoch}: ${acknowledgedBytes} acknowledged bytes lost, ${seen} explained`,
  ]
}

/** From the record: each time in which a process was the primary. */
function tenuresOf(lab: Lab): readonly Tenure[] {
  const tenures: Tenure[] = []
  for (const { atMs, proxy } of lab.history()) {
    const { epoch = 0, primary } = proxy.status ?? {}
    if (primary === undefined) continue
    const last = tenures.at(-1)
    if (last?.epoch === epoch && last.runId === primary.runId) continue
    tenures.push({ epoch, runId: primary.runId, fromMs: atMs })
  }
  return tenures
}

/** Of processes that were replicas before; one that was started as a primary was not made one. */
function promoted(samples: readonly Sample[]): readonly Sample[] {
  const replicas = new Set<string>()
  return samples.filter(({ runId, isPrimary }) => {
    if (!isPrimary) replicas.add(runId)
    return isPrimary && replicas.has(runId)
  })
}

function epochsShared(tenures: readonly Tenure[]): readonly number[] {
  const byEpoch = Map.groupBy(tenures, ({ epoch }) => epoch)
  return [...byEpoch]
    .filter(([, each]) => new Set(each.map(({ runId }) => runId)).size > 1)
    .map(([epoch]) => epoch)
}

function acknowledgedExecutions(ops: readonly Op[], watch: ServerWatch): readonly Execution[] {
  return ops.flatMap((op) =>
    op.outcome === 'ok' ? (watch.executions.get(wordsOf(op).join(' ')) ?? []) : [],
  )
}

/** Of each change of the primary, by what the record said of it last. */
function lossesOf(
  { lab, watch }: Evidence,
  tenures: readonly Tenure[],
  lost: readonly Op[],
): readonly LossReport[] {
  const changes = new Map(
    lab.history().flatMap(({ proxy: { status } }) => {
      const { lastFailover } = status ?? {}
      return lastFailover === undefined ? [] : [[lastFailover.epoch, lastFailover] as const]
    }),
  )
  const lostBy = Map.groupBy(lost, (op) => watch.executions.get(wordsOf(op).join(' '))?.[0]?.runId)
  return [...changes.values()].map((change) => {
    const index = tenures.findIndex(({ epoch }) => epoch === change.epoch)
    const [from, to] = [tenures[index - 1]?.runId ?? '', tenures[index]?.runId ?? '']
    const replId = change.fromReplId
    const seen = replId && lostBytesSeen(watch.samples, { from, to, replId })
    const acknowledged = lostBy.get(from) ?? []
    return {
      epoch: change.epoch,
      ...(change.kind && { kind: change.kind }),
      ...(change.proof && { proof: change.proof }),
      ...(change.lostBytes !== undefined && { reported: change.lostBytes }),
      ...(change.lostUnknown !== undefined && { unknown: change.lostUnknown }),
      ...(typeof seen === 'number' && { seen }),
      acknowledgedBytes: acknowledged.reduce((sum, op) => sum + streamBytes(op), 0),
    }
  })
}

function registersOf(ops: readonly Op[]): Found['registers'] {
  const used = ops.filter(({ kind }) => kind === 'put' || kind === 'read')
  const verdicts = [...Map.groupBy(used, ({ key }) => key).values()].map((each) =>
    isLinearizable(each.flatMap(registerOp)),
  )
  const count = (wanted: string) => verdicts.filter((verdict) => verdict === wanted).length
  return { checked: verdicts.length, wrong: count('no'), undecided: count('undecided') }
}

function registerOp({ kind, outcome, value, reply = '', startMs, endMs }: Op): RegisterOp[] {
  if (kind === 'read' && outcome === 'ok') return [{ kind, value: reply, startMs, endMs }]
  if (kind !== 'put' || outcome === 'refused') return []
  return [{ kind, value, startMs, endMs: outcome === 'ok' ? endMs : Infinity }]
}
