/** Writers on nodes of a lab, seen from outside: what they are told, and what they found. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Namespace } from '../faults/lab/namespaces.ts'

const program = fileURLToPath(new URL('writers-main.ts', import.meta.url))
const answerMaxMs = 60_000

export type WriterTarget =
  | { readonly kind: 'address'; readonly host: string; readonly port: number }
  | {
      readonly kind: 'sentinel'
      readonly name: string
      readonly sentinels: readonly { readonly host: string; readonly port: number }[]
    }

export interface WriterSettings {
  readonly names: readonly string[]
  readonly target: WriterTarget
  /** Between a reply and the next write; 0: none. */
  readonly paceMs: number
  /** Whether the time of each acknowledgement is kept. */
  readonly isTimed?: boolean
}

/** begin: keys of their own for each pass. progress: answered once every writer had so many more acknowledged. */
export type WriterOrder =
  | { readonly kind: 'begin'; readonly pass: string }
  | { readonly kind: 'progress'; readonly commands: number }
  | { readonly kind: 'end' }

export interface WriterFailure {
  readonly value: number
  readonly atMs: number
  readonly text: string
}

export interface WriterResult {
  readonly key: string
  /** Values 0 to this less one; all but those of `failures` were acknowledged. */
  sent: number
  readonly failures: WriterFailure[]
  /** By value, by the wall clock; 0: never. Empty unless wanted. */
  readonly ackedAtMs: number[]
  /** Between two acknowledgements, by the wall clock; the short ones are left out. */
  readonly gaps: [fromMs: number, untilMs: number][]
  readonly firstMs: number
  lastMs: number
}

interface Answer {
  readonly kind: 'warm' | 'progressed' | 'results'
  readonly results?: readonly WriterResult[]
}

export class Writers {
  private readonly child: ChildProcess

  constructor(namespace: Namespace, settings: WriterSettings) {
    const own = [process.execPath, '--disable-warning=ExperimentalWarning', program]
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', ...namespace.command(own)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, BENCH_WRITERS: JSON.stringify(settings) },
    })
  }

  /** Resolves when each of them had its first writes acknowledged. */
  async begin(pass: string): Promise<void> {
    await this.ask({ kind: 'begin', pass }, 'warm')
  }

  async progress(commands: number): Promise<void> {
    await this.ask({ kind: 'progress', commands }, 'progressed')
  }

  /** Resolves when each has its last answer. */
  async end(): Promise<readonly WriterResult[]> {
    return (await this.ask({ kind: 'end' }, 'results')).results ?? []
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill('SIGKILL')
    await gone
  }

  private async ask(order: WriterOrder, kind: Answer['kind']): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const timer = setTimeout(() => reject(new Error(`writers: no ${kind} in time`)), answerMaxMs)
    const onMessage = (answer: Answer) => {
      if (answer.kind === kind) resolve(answer)
    }
    const onExit = () => reject(new Error('the writers have ended'))
    this.child.on('message', onMessage).once('exit', onExit)
    try {
      this.child.send(order)
      return await promise
    } finally {
      clearTimeout(timer)
      this.child.off('message', onMessage).off('exit', onExit)
    }
  }
}
