/**
 * Running programs and waiting for conditions: the two things a test cluster does all day. Not a
 * shell: arguments are passed as they are.
 */
import { type SpawnOptions, spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export type RunOptions = {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** The program is killed after this time; five minutes unless told. */
  readonly timeoutMs?: number
}

export type Output = { readonly stdout: string; readonly stderr: string }

/** A program that ended badly. The message holds what it wrote to its standard error. */
export class CommandError extends Error {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string

  constructor(command: string, ended: { exitCode: number | null; reason: string } & Output) {
    const told = (ended.stderr.trim() || ended.stdout.trim()).slice(-4000)
    super(`${command}: ${ended.reason}${told === '' ? '' : `\n${told}`}`)
    this.name = 'CommandError'
    this.exitCode = ended.exitCode
    this.stdout = ended.stdout
    this.stderr = ended.stderr
  }
}

/**
 * Runs a program to its end and gives what it wrote.
 * @throws CommandError when it cannot be started, ends with another code than 0, or takes too long.
 */
export function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Output> {
  const timeoutMs = options.timeoutMs ?? 300_000
  const spawnOptions: SpawnOptions = {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  }
  if (options.cwd !== undefined) spawnOptions.cwd = options.cwd
  const command = [program, ...args].join(' ').slice(0, 300)
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, spawnOptions)
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      child.kill('SIGKILL')
    }, timeoutMs)
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
    // A program may end without reading its input; its exit code tells more than the broken pipe.
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input)
    const fail = (exitCode: number | null, reason: string) => {
      reject(new CommandError(command, { exitCode, reason, ...text() }))
    }
    const text = (): Output => ({
      stdout: Buffer.concat(stdout).toString(),
      stderr: Buffer.concat(stderr).toString(),
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      fail(null, error.message)
    })
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer)
      if (exitCode === 0) resolve(text())
      else if (isLate) fail(null, `not done after ${timeoutMs} ms`)
      else fail(exitCode, exitCode === null ? `ended by ${signal}` : `exit code ${exitCode}`)
    })
  })
}

/** The full path of a program, looked up on PATH and then in `morePaths`. */
export async function findProgram(
  name: string,
  morePaths: readonly string[] = [],
): Promise<string | undefined> {
  if (name.includes('/')) return (await isExecutable(name)) ? name : undefined
  const paths = [...(process.env['PATH'] ?? '').split(delimiter), ...morePaths]
  for (const path of paths) {
    const candidate = join(path === '' ? '.' : path, name)
    if (await isExecutable(candidate)) return candidate
  }
  return undefined
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export type WaitOptions = {
  /** Completes the sentence "waited 30 s for …" of the error. */
  readonly what: string
  readonly timeoutMs: number
  readonly intervalMs?: number
  /** A set signal ends the wait with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Asks `condition` until it gives something other than `undefined` or `false`. A condition that
 * throws is asked again; the last error is the cause of the one thrown at the deadline.
 */
export async function waitFor<T>(
  condition: () => Promise<T | undefined | false>,
  options: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs
  let cause: unknown
  for (;;) {
    options.signal?.throwIfAborted()
    try {
      const value = await condition()
      if (value !== undefined && value !== false) return value
      cause = undefined
    } catch (error) {
      cause = error
    }
    if (performance.now() >= deadline) break
    await delay(options.intervalMs ?? 100)
  }
  const told = cause instanceof Error ? `: ${cause.message}` : ''
  throw new Error(`waited ${options.timeoutMs / 1000} s for ${options.what}${told}`, { cause })
}
