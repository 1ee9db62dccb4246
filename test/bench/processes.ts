/**
 * The processes of one benchmark and the directory that holds their configuration, sockets and logs. All of it
 * is gone when the benchmark ends, however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const stopPatienceMs = 3000
const logTailLines = 15

export interface Running {
  readonly name: string
  readonly pid: number
  hasEnded(): boolean
  /** The last lines that it wrote, for a person who has to find out why it does not work. */
  logTail(): string
}

export class Processes {
  readonly directory = mkdtempSync(join(tmpdir(), 'respmesh-bench-'))
  private readonly children: ChildProcess[] = []

  constructor() {
    process.on('exit', this.endNow)
  }

  /** @throws Error when the program cannot be started at all. */
  start(
    name: string,
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Running {
    const log = join(this.directory, `${name}.log`)
    const output = openSync(log, 'a')
    const child = spawn(program, args, {
      cwd: this.directory,
      env: { ...neutralEnvironment(), ...env },
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    let failure: Error | undefined
    child.on('error', (error) => {
      failure = error
    })
    this.children.push(child)
    if (child.pid === undefined) throw new Error(`${program} cannot be started`)
    return {
      name,
      pid: child.pid,
      hasEnded: () => hasEnded(child),
      logTail: () => {
        const lines = readFileSync(log, 'utf8').trimEnd().split('\n')
        const told = lines.filter((line) => !/^\s+at /.test(line)).slice(-logTailLines)
        return [...told, ...(failure ? [failure.message] : [])].join('\n')
      },
    }
  }

  /** Runs a program to its end. @throws Error with what it wrote when it fails or the signal aborts it. */
  async run(program: string, args: readonly string[], signal: AbortSignal): Promise<string> {
    signal.throwIfAborted()
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], signal })
    this.children.push(child)
    const output: string[] = []
    const errors: string[] = []
    child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text))
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    this.children.splice(this.children.indexOf(child), 1)
    if (code === 0) return output.join('')
    const told = [...errors, ...output].join('').trim().slice(-1000)
    throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${told}`)
  }

  /** Whether `pid` is of this benchmark. */
  owns(pid: number): boolean {
    return pid === process.pid || this.children.some((child) => child.pid === pid)
  }

  /** Ends one process and waits for it. */
  async stop(running: Running): Promise<void> {
    const child = this.children.find((one) => one.pid === running.pid)
    child?.kill('SIGTERM')
    const deadline = performance.now() + stopPatienceMs
    while (!running.hasEnded() && performance.now() < deadline) await delay(20)
    if (!running.hasEnded()) child?.kill('SIGKILL')
  }

  /** Asks every process to end, makes those that do not, and removes the directory. */
  async end(): Promise<void> {
    for (const child of this.children) child.kill('SIGTERM')
    const deadline = performance.now() + stopPatienceMs
    while (this.children.some((child) => !hasEnded(child)) && performance.now() < deadline) {
      await delay(20)
    }
    this.endNow()
    process.off('exit', this.endNow)
  }

  private readonly endNow = (): void => {
    for (const child of this.children) if (!hasEnded(child)) child.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Ours, less what would change how a sidecar or its Node works without being seen in the results. */
function neutralEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(RESPMESH_|NODE_)/.test(name))
  return Object.fromEntries(kept)
}

/** `{ '-p': 1 }` as arguments: `-p 1`. */
export function flags(values: Readonly<Record<string, string | number>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [name, String(value)])
}

function hasEnded(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null
}
