/** What the tests need of the machine beyond npm: the real servers. Installed where that is possible. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

interface Tool {
  readonly program: string
  readonly debianPackage: string
  readonly neededFor: string
}

const tools: readonly Tool[] = [
  {
    program: 'redis-server',
    debianPackage: 'redis-server',
    neededFor: 'every test against a server',
  },
  { program: 'redis-cli', debianPackage: 'redis-tools', neededFor: 'tests with the stock client' },
  { program: 'openssl', debianPackage: 'openssl', neededFor: 'certificates of TLS tests' },
]

const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']

function has(program: string): boolean {
  return folders.some((folder) => existsSync(join(folder, program)))
}

/** Installs what is missing by apt-get where this is Debian and we are root; else says what to type and throws. */
export async function prepareMachine(): Promise<void> {
  const missing = tools.filter((tool) => !has(tool.program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map((tool) => tool.debianPackage))]
  for (const tool of missing)
    console.log(`${tool.program} is missing; needed for ${tool.neededFor}`)
  if (!has('apt-get') || process.getuid?.() !== 0) {
    throw new Error(`install them first, e.g.: sudo apt-get install -y ${packages.join(' ')}`)
  }
  console.log(`Installing ${packages.join(', ')} with apt-get …`)
  aptGet(['update', '-qq'])
  aptGet(['install', '-y', '-qq', '--no-install-recommends', ...packages])
}

function aptGet(args: readonly string[]): void {
  // In run level 1 Debian starts no server on the default port when its package is configured.
  const result = spawnSync('apt-get', [...args], {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  })
  if (result.status !== 0) throw new Error(`apt-get ${args.join(' ')} failed; see above`)
}
