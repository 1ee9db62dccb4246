/** Gets the suite: Debian’s source package, kept in the user’s cache, unpacked as upstream released it. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { isInstalled } from '../support/servers.ts'

/** The release of Debian whose `redis` is the version that is wanted. */
const release = 'bookworm'
export const suiteVersion = '7.0.15'
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'

export class MissingError extends Error {}

/** Folder that has `tests/`. @throws MissingError with what to type when something is not there */
export function fetchSuite(say: (text: string) => void): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(cache, 'respmesh', 'conformance')
  const suite = join(folder, `redis-${suiteVersion}`)
  if (existsSync(join(suite, 'tests', 'test_helper.tcl'))) return suite
  if (!isInstalled('apt-get')) {
    throw new MissingError(
      `Debian’s source package is needed: unpack redis ${suiteVersion} as ${suite}`,
    )
  }
  say(`getting the source package of redis ${suiteVersion} …`)
  const work = join(folder, `work-${process.pid}`)
  try {
    const archive = download(work)
    run('tar', ['-xzf', archive, '-C', work])
    rmSync(suite, { recursive: true, force: true })
    renameSync(join(work, `redis-${suiteVersion}`), suite)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return suite
}

/** The interpreter of the suite and a server with its tools. @throws MissingError */
export function prepareTools(say: (text: string) => void): void {
  const wanted = { tclsh: 'tcl', 'redis-server': 'redis-server', 'redis-cli': 'redis-tools' }
  const missing = Object.entries(wanted).filter(([program]) => !isInstalled(program))
  if (missing.length === 0) return
  const packages = missing.map(([, name]) => name)
  const command = ['install', '-y', '-qq', '--no-install-recommends', ...packages]
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) {
    throw new MissingError(`install them first: sudo apt-get install -y ${packages.join(' ')}`)
  }
  say(`installing ${packages.join(', ')} …`)
  run('apt-get', ['update', '-qq'])
  run('apt-get', command)
}

/** Uses apt with lists and sources of its own: nothing of the system’s configuration changes. */
function download(work: string): string {
  for (const name of ['lists/partial', 'cache/archives/partial', 'parts']) {
    mkdirSync(join(work, name), { recursive: true })
  }
  const signed = existsSync(keyring) ? `[signed-by=${keyring}] ` : ''
  const list = join(work, 'sources.list')
  writeFileSync(list, `deb-src ${signed}${archiveAddress()} ${release} main\n`)
  const places = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': join(work, 'parts'),
    'Dir::State::lists': join(work, 'lists'),
    'Dir::Cache': join(work, 'cache'),
    ...(process.getuid?.() === 0 && { 'APT::Sandbox::User': 'root' }),
  }
  const options = Object.entries(places).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  run('apt-get', [...options, '-qq', 'update'], work)
  run('apt-get', [...options, '-qq', 'source', '--download-only', 'redis'], work)
  const archive = readdirSync(work).find((name) => name === `redis_${suiteVersion}.orig.tar.gz`)
  if (archive === undefined) {
    throw new MissingError(`${release} has another version of redis than ${suiteVersion} by now`)
  }
  return join(work, archive)
}

/** Where this machine gets its packages from. */
function archiveAddress(): string {
  const format = '$(REPO_URI) $(LABEL)'
  const { stdout } = spawnSync('apt-get', ['indextargets', '--format', format], {
    encoding: 'utf8',
  })
  const addresses = (stdout ?? '').split('\n').map((line) => line.split(' ')[0] ?? '')
  const address = addresses.find((text) => /\/debian\/?$/.test(text))
  if (address !== undefined) return address
  throw new MissingError('apt-get knows no archive of Debian on this machine')
}

function run(program: string, args: readonly string[], cwd?: string): void {
  const result = spawnSync(program, [...args], {
    cwd,
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
  })
  if (result.status !== 0)
    throw new MissingError(`${program} ${args.at(-1) ?? ''} failed; see above`)
}
