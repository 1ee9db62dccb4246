/** One process of ours, started again when it dies by itself. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { SystemError } from '../../common/errors.ts'
import { localStopTimeoutMs } from '../../common/limits.ts'
import type { Guard } from './guard.ts'

export interface ChildOptions {
  readonly name: string
  readonly program: string
  /** Called for each start, so that a later one may differ from the first. */
  readonly args: (start: { readonly isFirst: boolean }) => readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** What it prints goes there. */
  readonly logFile: string
  readonly restartAfterMs: number
}

export interface ChildEvents {
  onStart(pid: number): void
  onExit(how: string): void
}

export class Child {
  private readonly options: ChildOptions
  private readonly guard: Guard
  private readonly events: ChildEvents
  private process: ChildProcess | undefined
  private timer: NodeJS.Timeout | undefined
  private isStopping = false
  private isFirst = true
  private startedMs: number | undefined

  constructor(
    options: ChildOptions,
    modules: { readonly guard: Guard; readonly events: ChildEvents },
  ) {
    this.options = options
    this.guard = modules.guard
    this.events = modules.events
  }

  get name(): string {
    return this.options.name
  }

  /** Absent while it does not run. */
  get pid(): number | undefined {
    return this.process?.pid
  }

  /** When the process that runs was started, wall clock; absent while none does. */
  get runsSinceMs(): number | undefined {
    return this.process === undefined ? undefined : this.startedMs
  }

  /** Whether there has been one at all. */
  get hasRun(): boolean {
    return !this.isFirst
  }

  /** Starts it, or starts it again now instead of later. @throws SystemError RM_LOCAL_START */
  async start(): Promise<void> {
    clearTimeout(this.timer)
    if (this.process !== undefined || this.isStopping) return
    const { program, args, env, logFile, name } = this.options
    const log = openSync(logFile, 'a', 0o600)
    const child = spawn(program, [...args({ isFirst: this.isFirst })], {
      stdio: ['ignore', log, log],
      env: { ...env },
      detached: true,
    })
    closeSync(log)
    this.process = child
    this.startedMs = Date.now()
    this.isFirst = false
    try {
      await once(child, 'spawn')
    } catch (cause) {
      this.process = undefined
      throw new SystemError('RM_LOCAL_START', `${name} (${program}) cannot be started`, { cause })
    }
    child.on('error', () => {})
    child.once('exit', (code, signal) => this.exited(child, signal ?? `exit code ${code}`))
    // It may be gone already; exit comes as an event of its own then.
    if (child.pid !== undefined) {
      this.guard.add(child.pid)
      this.events.onStart(child.pid)
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.process?.kill(signal)
  }

  /** Ends it for good: asked first, killed if it does not go in time. */
  async stop(): Promise<void> {
    this.isStopping = true
    clearTimeout(this.timer)
    const child = this.process
    if (child === undefined) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    child.kill('SIGCONT')
    const killer = setTimeout(() => child.kill('SIGKILL'), localStopTimeoutMs)
    await exited
    clearTimeout(killer)
  }

  private exited(child: ChildProcess, how: string): void {
    if (child.pid !== undefined) this.guard.remove(child.pid)
    this.process = undefined
    if (this.isStopping) return
    this.events.onExit(how)
    this.timer = setTimeout(() => {
      // What cannot be started is told by the next exit or by the missing server itself.
      this.start().catch(() => this.events.onExit('cannot be started'))
    }, this.options.restartAfterMs)
  }
}
