/** Finds the server to run on this machine, and knows how it is installed where it is missing. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { SystemError } from '../../common/errors.ts'

const run = promisify(execFile)

const programs = ['valkey-server', 'redis-server'] as const

const packageManagers = [
  { program: 'apt-get', install: ['apt-get', 'install', '-y', 'redis-server'], needsRoot: true },
  { program: 'dnf', install: ['dnf', 'install', '-y', 'valkey'], needsRoot: true },
  { program: 'apk', install: ['apk', 'add', 'valkey'], needsRoot: true },
  { program: 'brew', install: ['brew', 'install', 'valkey'], needsRoot: false },
] as const

export interface InstallModules {
  /** Tells the user what is about to be done. */
  readonly say: (line: string) => void
  readonly isRoot: boolean
}

/**
 * The path of a server program. Where there is none it is installed by the system's package manager if that
 * needs no rights we have not got.
 * @throws SystemError RM_SERVER_NOT_FOUND, saying what to type
 */
export async function findServerProgram({ say, isRoot }: InstallModules): Promise<string> {
  const found = await firstOnPath(programs)
  if (found !== undefined) return found
  for (const { program, install, needsRoot } of packageManagers) {
    if ((await firstOnPath([program])) === undefined) continue
    const command = install.join(' ')
    if (needsRoot && !isRoot) throw notFound(`type: sudo ${command}`)
    say(`Neither valkey-server nor redis-server is installed; installing one: ${command}`)
    await installWith(install)
    const installed = await firstOnPath(programs)
    if (installed !== undefined) return installed
    throw notFound(`"${command}" did not bring one`)
  }
  throw notFound('install Valkey (https://valkey.io) or Redis and put it on the PATH')
}

async function firstOnPath(names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    try {
      const { stdout } = await run('sh', ['-c', 'command -v "$1"', 'sh', name])
      return stdout.trim()
    } catch {
      // Not there; the next one may be.
    }
  }
  return undefined
}

async function installWith([program, ...args]: readonly [string, ...string[]]): Promise<void> {
  // Packages start their service at installation; we run servers of our own.
  const child = spawn(program, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw notFound(`"${program} ${args.join(' ')}" failed`)
}

function notFound(advice: string): SystemError {
  return new SystemError(
    'RM_SERVER_NOT_FOUND',
    `neither valkey-server nor redis-server is on the PATH; ${advice}`,
  )
}
