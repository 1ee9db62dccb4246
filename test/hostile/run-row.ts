/** Sends one hostile input to a proxy and reports what came of it. */
import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { residentBytes } from '../bench/process-figures.ts'
import type { Bystander } from './bystander.ts'
import { type Row, smuggledKeys } from './row.ts'
import type { Site } from './sites.ts'
import { ask, type Bytes, command, open, type Wire } from './wire.ts'

export interface Outcome {
  readonly id: string
  readonly name: string
  readonly expected: string
  readonly reaction: string
  readonly isAsExpected: boolean
  readonly isAlive: boolean
  /** Keys that exist and should not. */
  readonly smuggled: readonly string[]
  /** How far the process grew at most while it lasted. */
  readonly growthBytes: number
  readonly bystanderMs: number
  readonly controlMs: number
  readonly bystanderErrors: number
}

export interface Judge {
  /** False for a peer, of which nothing is expected: its reaction is only noted, after a short wait. */
  readonly isPatient: boolean
}

const defaultDeadlineMs = 3000
const peerPatienceMs = 400
const timerWaitMs = 60
const marker = 'm4rk3r'
const markerReply = `$${marker.length}\r\n${marker}\r\n`

/** Tries a row. The keys of the server that tell of smuggling are looked at and removed. */
export async function tryRow(
  row: Row,
  site: Site,
  bystander: Bystander,
  judge: Judge,
): Promise<Outcome> {
  bystander.take()
  const before = startPeak(site.pid())
  const result = await converse(row, site, judge).catch((error: Error) => ({
    reaction: `no connection: ${error.message}`,
    isAsExpected: false,
  }))
  await bystander.settle()
  const waits = bystander.take()
  const isAlive = site.isAlive()
  const growthBytes = isAlive ? Math.max(0, peakOf(site.pid()) - before) : 0
  return {
    id: row.id,
    name: row.name,
    expected: expectationOf(row),
    ...result,
    isAlive,
    smuggled: await takeSmuggled(site),
    growthBytes,
    bystanderMs: waits.worstMs,
    controlMs: waits.controlWorstMs,
    bystanderErrors: waits.errors,
  }
}

interface Reaction {
  readonly reaction: string
  readonly isAsExpected: boolean
}

async function converse(row: Row, site: Site, judge: Judge): Promise<Reaction> {
  const wire = await open(site.port)
  const deadlineMs = judge.isPatient ? (row.deadlineMs ?? defaultDeadlineMs) : peerPatienceMs
  const isString = typeof row.input === 'string' || Buffer.isBuffer(row.input)
  await wire.sendParts(isString ? [row.input as Bytes] : (row.input as readonly Bytes[]))
  if (row.afterwards === 'end') wire.socket.end()
  if (row.afterwards === 'reset') wire.socket.resetAndDestroy()
  const isReplied = () => matches(row.reply, wire.text())
  const wantsEnd = row.end === 'closed'
  const isSeen = await within(deadlineMs, () => isReplied() && (!wantsEnd || wire.isClosed))
  if (!judge.isPatient) await within(timerWaitMs, () => wire.isClosed)
  const reaction = describe(wire)
  const isAsExpected = isSeen && (wantsEnd || (await isStillOpen(row, wire, deadlineMs)))
  wire.socket.destroy()
  return { reaction, isAsExpected }
}

/** Whether it goes on as it should: the next command is answered next, or nothing happens. */
async function isStillOpen(row: Row, wire: Wire, deadlineMs: number): Promise<boolean> {
  if (wire.isClosed) return false
  if (row.end !== 'open') return !(await within(timerWaitMs, () => wire.isClosed))
  const before = wire.byteCount
  wire.send(command('ECHO', marker))
  const isAnswered = await within(deadlineMs, () => wire.byteCount > before)
  if (!isAnswered || wire.byteCount > wire.received.length) return isAnswered
  const answer = wire.text().slice(before)
  return row.isLogin === true
    ? /^(\$6\r\nm4rk3r|-NOAUTH [^\r]*)\r\n$/.test(answer)
    : answer === markerReply
}

function matches(reply: string | RegExp, text: string): boolean {
  return typeof reply === 'string' ? reply === text : reply.test(text)
}

export function describe(wire: Wire): string {
  const state = wire.wasReset ? 'reset' : wire.isClosed ? 'closed' : 'open'
  return `${state} ${shown(wire.text())}`.trim()
}

export function shown(text: string, charsMax = 60): string {
  const clean = text.slice(0, charsMax + 1).replaceAll('\r\n', '␍')
  const visible = clean.replaceAll(/[^ -~␍]/g, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
  return text.length > charsMax ? `${visible.slice(0, charsMax)}…` : visible
}

export function expectationOf(row: Row): string {
  const reply = typeof row.reply === 'string' ? shown(row.reply) : `/${shown(row.reply.source)}/`
  const end =
    row.end === 'timer' ? 'open, closed in 10 s' : row.end === 'waiting' ? 'open' : row.end
  return `${end} ${reply}`.trim()
}

export async function within(milliseconds: number, isTrue: () => boolean): Promise<boolean> {
  const deadline = performance.now() + milliseconds
  for (let waitMs = 0; !isTrue(); waitMs = Math.min(10, waitMs + 1)) {
    if (performance.now() > deadline) return false
    await delay(waitMs)
  }
  return true
}

async function takeSmuggled(site: Site): Promise<string[]> {
  const found: string[] = []
  for (const key of smuggledKeys) {
    if ((await ask(site.server.port, 'DEL', key)) === ':1\r\n') found.push(key)
  }
  return found
}

/** Has the kernel forget how large the process was at most. */
export function startPeak(pid: number): number {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, '5')
    return residentBytes(pid).now
  } catch {
    return 0
  }
}

export function peakOf(pid: number): number {
  try {
    return residentBytes(pid).peak
  } catch {
    return 0
  }
}

export function residentNow(pid: number): number {
  return (
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
  )
}
