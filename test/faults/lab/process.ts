/** One process of the lab: in the namespace of its node, ended by the kernel when we are. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Namespace } from './namespaces.ts'

export interface ProcessOptions {
  readonly namespace: Namespace
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What it prints is added there. */
  readonly logFile: string
  /** Messages can be sent to it. */
  readonly hasChannel?: boolean
}

export class LabProcess {
  private readonly child: ChildProcess
  private readonly ended: Promise<void>

  private constructor(child: ChildProcess) {
    this.child = child
    this.ended = new Promise((resolve) => {
      child.once('exit', () => resolve())
    })
  }

  static async start(options: ProcessOptions): Promise<LabProcess> {
    const { namespace, command, env, logFile, hasChannel } = options
    const log = openSync(logFile, 'a', 0o600)
    const args = ['--pdeathsig', 'KILL', ...namespace.command(command)]
    const child = spawn('setpriv', args, {
      stdio: hasChannel === true ? ['ignore', log, log, 'ipc'] : ['ignore', log, log],
      env: { ...inherited(), ...env },
    })
    closeSync(log)
    const started = new LabProcess(child)
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve).once('error', reject)
    })
    child.on('error', () => {})
    return started
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get isRunning(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  /** Resolves when it has ended, however. */
  get exited(): Promise<void> {
    return this.ended
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  send(message: object): void {
    this.child.send(message)
  }

  async kill(): Promise<void> {
    if (this.isRunning) this.child.kill('SIGKILL')
    await this.ended
  }
}

/** Variables of ours that were meant for another process are left out. */
function inherited(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('RESPMESH_'))
  return Object.fromEntries(entries)
}
