/** One trial: writers at work, one fault, the next primary, and the reckoning of every write. */
import { Redis } from 'ioredis'
import { setTimeout as delay } from 'node:timers/promises'
import { type LabServer, type Undo, wallMs } from '../faults/lab/index.ts'
import { until } from '../support/servers.ts'
import type { Contender, Phases } from './contender.ts'
import type { WriterResult, Writers } from './writers.ts'

export const faults = ['kill', 'unreachable', 'hung', 'switchover'] as const
export type FaultKind = (typeof faults)[number]

export interface Tally {
  readonly acked: number
  /** Acknowledged, and not there at the end. */
  readonly lost: number
  /** When those were acknowledged, where that was kept. */
  readonly lostAtMs: readonly number[]
  /** There more often than written. */
  readonly doubled: number
  /** By their first word. */
  readonly errors: Readonly<Record<string, number>>
  /** Errors of commands that may have been run: the most that one connection got. */
  readonly unknownPerWriterMax: number
  /** Errors of commands that were not run for certain, or whose text does not say. */
  readonly refused: number
}

export interface Trial extends Tally {
  readonly fault: FaultKind
  readonly contender: Contender['name']
  /** The longest that one writer had no acknowledgement. */
  readonly stallMs: number
  /** The same before the fault, as a measure of the machine. */
  readonly noiseMs: number
  /** When clients that ask were sent to the next primary, seen by asking now and then. */
  readonly namedAfterMs: number
  readonly phases?: Phases
  /** The rest of the stall, from the naming of the next primary on. */
  readonly resumeMs?: number
}

const followMaxMs = 40_000
const leaveMaxMs = 5000
const chunk = 10_000

export async function runTrial(
  contender: Contender,
  fault: FaultKind,
  options: { readonly pass: string; readonly afterMs: number },
): Promise<Trial> {
  const { writers } = contender
  await contender.settle()
  await begin(writers, options.pass)
  await delay(options.afterMs)
  const old = await contender.primary()
  const faultMs = wallMs()
  const undo = await inflict(contender, fault, old)
  let results: readonly WriterResult[]
  let namedAfterMs: number
  try {
    await until('another primary', () => isReplaced(contender, old), followMaxMs)
    namedAfterMs = wallMs() - faultMs
    // Until the old one is demoted clients may have stayed with it.
    if (fault === 'switchover') await isLeft(old)
    await Promise.all(writers.map((each) => each.progress(50)))
    results = await end(writers)
  } finally {
    await undo()
    // Whoever was stuck goes on then, and must not write into the next trial.
    await end(writers)
  }
  await contender.settle()
  const stall = longest(results, ([, untilMs]) => untilMs >= faultMs)
  const phases = contender.phases(faultMs)
  const namedMs = phases && faultMs + phases.detectMs + phases.fenceMs + phases.promoteMs
  return {
    fault,
    contender: contender.name,
    stallMs: lengthOf(stall),
    noiseMs: lengthOf(longest(results, ([, untilMs]) => untilMs < faultMs)),
    namedAfterMs,
    ...(phases && { phases }),
    ...(namedMs !== undefined && { resumeMs: stall[1] - namedMs }),
    ...(await tally(await contender.primary(), results)),
  }
}

/** Resolves when each writer had its first writes acknowledged. */
export async function begin(writers: readonly Writers[], pass: string): Promise<void> {
  await Promise.all(writers.map((each) => each.begin(pass)))
}

/** What each writer found since it began. */
export async function end(writers: readonly Writers[]): Promise<readonly WriterResult[]> {
  return (await Promise.all(writers.map((each) => each.end()))).flat()
}

/** Resolves when it is a replica, or when that took too long to wait for. */
async function isLeft(old: LabServer): Promise<void> {
  const untilMs = performance.now() + leaveMaxMs
  while (performance.now() < untilMs) {
    if ((await old.info('replication')).get('role') === 'slave') return
    await delay(10)
  }
}

/** Whether clients are sent to another one. */
export async function isReplaced(contender: Contender, old: LabServer): Promise<boolean> {
  // There is none while it is being replaced.
  const primary = await contender.primary().catch(() => undefined)
  return primary !== undefined && primary !== old
}

async function inflict(contender: Contender, fault: FaultKind, old: LabServer): Promise<Undo> {
  switch (fault) {
    case 'kill':
      await old.kill()
      return () => contender.restart(old)
    case 'unreachable':
      return contender.network.unplug(old.name)
    case 'hung':
      old.stop()
      return async () => old.continue()
    case 'switchover':
      await contender.switchOver()
      return async () => {}
    default:
      throw new Error(`no such fault: ${String(fault satisfies never)}`)
  }
}

type Gap = WriterResult['gaps'][number]

export function longest(
  results: readonly WriterResult[],
  counts: (gap: Gap) => boolean,
): readonly [number, number] {
  const [most = [0, 0] as const] = results
    .flatMap(({ gaps }) => gaps)
    .filter(counts)
    .sort((a, b) => lengthOf(b) - lengthOf(a))
  return most
}

export function lengthOf([fromMs, untilMs]: readonly [number, number]): number {
  return untilMs - fromMs
}

/** Errors after which a command may have been run. */
const maybeRun = /RM_UPSTREAM_LOST|RM_UPSTREAM_TIMEOUT|RM_UNCONFIRMED|RM_REPLIES/

/** Compares what writers were told with what the server has, and removes it there. */
export async function tally(server: LabServer, results: readonly WriterResult[]): Promise<Tally> {
  const client = new Redis({ path: server.unixPath })
  try {
    let sum = nothing
    for (const result of results) sum = add(sum, await tallyOne(client, result))
    return sum
  } finally {
    client.disconnect()
  }
}

async function tallyOne(client: Redis, result: WriterResult): Promise<Tally> {
  const { key, sent, failures, ackedAtMs } = result
  const failed = new Set(failures.map(({ value }) => value))
  const { there, length } = await read(client, key)
  await client.unlink(key)
  const values = Array.from({ length: sent }, (_none, value) => value)
  const unknown = failures.filter(({ text }) => maybeRun.test(text))
  const errors: Record<string, number> = {}
  for (const { text } of failures) {
    const kind = /RM_[A-Z_]+/.exec(text)?.[0] ?? text.split(' ', 3).join(' ')
    errors[kind] = (errors[kind] ?? 0) + 1
  }
  const lost = values.filter((value) => !failed.has(value) && !there.has(value))
  return {
    acked: sent - failed.size,
    lost: lost.length,
    lostAtMs: lost.flatMap((value) => ackedAtMs[value] ?? []),
    doubled: length - there.size,
    errors,
    unknownPerWriterMax: unknown.length,
    refused: failures.length - unknown.length,
  }
}

export const nothing: Tally = {
  acked: 0,
  lost: 0,
  lostAtMs: [],
  doubled: 0,
  errors: {},
  unknownPerWriterMax: 0,
  refused: 0,
}

export function add(a: Tally, b: Tally): Tally {
  const kinds = [...new Set([...Object.keys(a.errors), ...Object.keys(b.errors)])].toSorted()
  return {
    acked: a.acked + b.acked,
    lost: a.lost + b.lost,
    lostAtMs: [...a.lostAtMs, ...b.lostAtMs],
    doubled: a.doubled + b.doubled,
    errors: Object.fromEntries(
      kinds.map((kind) => [kind, (a.errors[kind] ?? 0) + (b.errors[kind] ?? 0)]),
    ),
    unknownPerWriterMax: Math.max(a.unknownPerWriterMax, b.unknownPerWriterMax),
    refused: a.refused + b.refused,
  }
}

async function read(client: Redis, key: string) {
  const there = new Set<number>()
  let length = 0
  for (;;) {
    const values = await client.lrange(key, length, length + chunk - 1)
    for (const value of values) there.add(Number(value))
    length += values.length
    if (values.length < chunk) return { there, length }
  }
}
