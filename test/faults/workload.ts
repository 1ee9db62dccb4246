/** Clients of the sidecars: writers whose every write can be told from all others, and registers that several share. */
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Client,
  ErrorReply,
  type LabSidecar,
  type Reply,
  textOf,
  wallMs,
} from './lab/index.ts'

/** push, add, set: unique. count: INCR. put, read: of a register. */
export type OpKind = 'push' | 'add' | 'set' | 'count' | 'put' | 'read'

/** refused: an error that says that it was not run. unknown: it may have been. */
export type Outcome = 'ok' | 'refused' | 'unknown'

export interface Op {
  readonly client: string
  readonly kind: OpKind
  readonly key: string
  readonly value: string
  /** Wall clock, with fractions. */
  readonly startMs: number
  readonly endMs: number
  readonly outcome: Outcome
  /** Of a read or a count that is ok. */
  readonly reply?: string
  /** What was answered instead. */
  readonly error?: string
}

const paceMs = 8
const afterErrorMs = 20
const patienceMs = 12_000
/** How long one register is used before the next: what is checked together stays small. */
const registerMs = 400
const maybeRun = /RM_UPSTREAM_LOST|RM_UPSTREAM_TIMEOUT|RM_UNCONFIRMED|RM_REPLIES/

export interface WorkloadOptions {
  readonly writersPerSidecar: number
  readonly readersPerSidecar: number
  /** Begins the names of its clients, and so of their keys: no two workloads of a lab may share it. Default: none. */
  readonly name?: string
}

export class Workload {
  readonly ops: Op[] = []
  private readonly name: string
  private isStopping = false
  private readonly running: readonly Promise<void>[]
  private readonly startedMs = wallMs()

  constructor(sidecars: readonly LabSidecar[], options: WorkloadOptions) {
    const { writersPerSidecar, readersPerSidecar, name = '' } = options
    this.name = name
    this.running = sidecars.flatMap((sidecar, index) => [
      ...Array.from({ length: writersPerSidecar }, (_none, writer) =>
        this.run(sidecar, `${name}w${index + 1}${writer + 1}`, writes),
      ),
      ...Array.from({ length: readersPerSidecar }, (_none, reader) =>
        this.run(sidecar, `${name}r${index + 1}${reader + 1}`, (client, number) =>
          this.registerOp(client, number),
        ),
      ),
    ])
  }

  /** Resolves when every client has its last answer, or has given it up. */
  async stop(): Promise<void> {
    this.isStopping = true
    await Promise.all(this.running)
  }

  private registerOp(client: string, number: number): Wanted {
    const key = `reg:${this.name}${Math.floor((wallMs() - this.startedMs) / registerMs)}`
    const isRead = (number + client.charCodeAt(client.length - 1)) % 2 === 0
    return { kind: isRead ? 'read' : 'put', key, value: isRead ? '' : `${client}.${number}` }
  }

  private async run(
    sidecar: LabSidecar,
    name: string,
    next: (client: string, number: number) => Wanted,
  ): Promise<void> {
    let connection: Client | undefined
    for (let number = 0; !this.isStopping; number += 1) {
      if (connection === undefined || connection.isLost) {
        connection = await sidecar.connect().catch(() => undefined)
      }
      if (connection === undefined) {
        await delay(afterErrorMs)
        continue
      }
      const op = await this.perform(connection, name, next(name, number))
      this.ops.push(op)
      await delay(op.outcome === 'ok' ? paceMs : afterErrorMs)
    }
    connection?.close()
  }

  private async perform(connection: Client, client: string, wanted: Wanted): Promise<Op> {
    const startMs = wallMs()
    const timer = setTimeout(() => connection.close(), patienceMs)
    const answer = await connection.call(...wordsOf(wanted)).catch((error: unknown) => error)
    clearTimeout(timer)
    return { client, ...wanted, startMs, endMs: wallMs(), ...outcomeOf(answer) }
  }
}

type Wanted = Pick<Op, 'kind' | 'key' | 'value'>

const writeKinds = ['push', 'add', 'set', 'count'] as const

function writes(client: string, number: number): Wanted {
  const kind = writeKinds[number % writeKinds.length] ?? 'push'
  const value = String(number)
  return { kind, key: kind === 'set' ? `set:${client}:${value}` : `${kind}:${client}`, value }
}

/** The command of an operation. */
export function wordsOf({ kind, key, value }: Wanted): readonly string[] {
  switch (kind) {
    case 'push':
      return ['RPUSH', key, value]
    case 'add':
      return ['SADD', key, value]
    case 'set':
    case 'put':
      return ['SET', key, value]
    case 'count':
      return ['INCR', key]
    case 'read':
      return ['GET', key]
    default:
      throw new Error(`no such operation: ${String(kind satisfies never)}`)
  }
}

function outcomeOf(answer: unknown): Pick<Op, 'outcome' | 'reply' | 'error'> {
  if (answer instanceof ErrorReply) {
    const outcome = maybeRun.test(answer.text) ? 'unknown' : 'refused'
    return { outcome, error: answer.text }
  }
  if (answer instanceof Error) return { outcome: 'unknown', error: answer.message }
  return { outcome: 'ok', reply: textOf(answer as Reply) }
}
