/**
 * Network namespaces without names: each is held by a process that the kernel ends with ours, and is gone with the
 * last process in it. So nothing can be left behind, however a test ends.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type Output, run } from '../../cluster/command.ts'

const readyDeadlineMs = 5000
const programs = ['ip', 'iptables', 'nsenter', 'unshare', 'setpriv', 'openssl'] as const

/** Why this machine has no namespaces for us; undefined: it has. */
export function namespaceObstacle(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces need Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const missing = programs.filter((program) => !isInstalled(program))
  if (missing.length > 0) return `${missing.join(', ')} is not installed`
  try {
    const script = 'ip link add b0 type bridge && iptables -w -A INPUT -p tcp --dport 1 -j REJECT'
    execFileSync('unshare', ['--net', 'sh', '-c', script], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    const told = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    return `a namespace with a bridge and iptables cannot be made: ${told || String(error)}`
  }
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export class Namespace {
  private readonly holder: ChildProcess

  private constructor(holder: ChildProcess) {
    this.holder = holder
  }

  static async open(): Promise<Namespace> {
    const command = ['--pdeathsig', 'KILL', 'unshare', '--net', 'sleep', 'infinity']
    const holder = spawn('setpriv', command, { stdio: 'ignore' })
    await new Promise<void>((resolve, reject) => {
      holder.once('spawn', resolve).once('error', reject)
    })
    const namespace = new Namespace(holder)
    const ours = readlinkSync('/proc/self/ns/net')
    const deadline = performance.now() + readyDeadlineMs
    while (namespace.link() === ours) {
      if (performance.now() > deadline) throw new Error('no network namespace was made in time')
      await delay(2)
    }
    return namespace
  }

  /** Process id that names it to `ip link … netns`. */
  get pid(): number {
    return this.holder.pid ?? 0
  }

  /** The program and arguments that run `command` in it. */
  command(command: readonly string[]): readonly [string, ...string[]] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`, ...command]
  }

  run(program: string, args: readonly string[], input?: string): Promise<Output> {
    const [first, ...rest] = this.command([program, ...args])
    return run(first, rest, input === undefined ? {} : { input })
  }

  close(): void {
    this.holder.kill('SIGKILL')
  }

  private link(): string | undefined {
    try {
      return readlinkSync(`/proc/${this.pid}/ns/net`)
    } catch {
      throw new Error('the process that holds a network namespace has ended')
    }
  }
}
