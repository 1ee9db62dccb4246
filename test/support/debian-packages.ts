/**
 * Programs out of Debian’s packages, of any of its releases, without a change to this machine: apt with lists and
 * a cache of its own gets and verifies the packages, `dpkg-deb` unpacks them, and each program is run by the loader
 * and the libraries that came with it, because this machine’s may be older.
 */
import { chmod, mkdir, readdir, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { CommandError, findProgram, run } from '../cluster/command.ts'

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const libraryName = /^(lib|lua-)/
const libraryPlace = /^(usr\/)?lib(64)?\/([^/]+\/)?[^/]+\.so(\.[0-9]+)*$/
/** Libraries of libraries of …; a deeper chain is a mistake. */
const dependencyDepthMax = 8

export interface PackageWish {
  /** `trixie`, or what builds upon another: `bookworm-backports`. */
  readonly release: string
  /** Releases that hold the libraries, where that is not `release` itself. */
  readonly base?: string
  /** Packages to unpack; the libraries that they need are added. */
  readonly packages: readonly string[]
  /** Programs in `/usr/bin` of them that are made runnable. */
  readonly programs: readonly string[]
}

/** Why packages of Debian cannot be had here, or undefined if they can. */
export async function debianObstacle(): Promise<string | undefined> {
  for (const program of ['apt-get', 'apt-cache', 'dpkg-deb', 'dpkg']) {
    if ((await findProgram(program)) === undefined) return `this machine has no ${program}`
  }
  return existsSync(keyring) ? undefined : `this machine has no ${keyring} to verify packages with`
}

/**
 * Unpacks what is wished into the new folder `folder`, which may be moved afterwards. Runnable programs are then in
 * its `bin/`. @throws Error when the archive lacks a package or cannot be reached
 */
export async function unpackPackages(wish: PackageWish, folder: string): Promise<void> {
  const root = join(folder, 'root')
  const apt = await prepareApt(wish, join(folder, 'apt'))
  await mkdir(root, { recursive: true })
  const wanted: string[] = []
  for (const name of wish.packages) wanted.push(`${name}=${await versionIn(apt, name, wish)}`)
  const libraries = await findLibraries(apt, wanted)
  await runApt(apt, 'apt-get', ['-qq', 'download', ...wanted, ...libraries])
  for (const file of await readdir(apt.folder)) {
    if (file.endsWith('.deb')) await run('dpkg-deb', ['-x', join(apt.folder, file), root])
  }
  await rm(apt.folder, { recursive: true, force: true })
  await writePrograms(wish.programs, root, join(folder, 'bin'))
}

interface Apt {
  readonly folder: string
  readonly options: readonly string[]
}

async function prepareApt(wish: PackageWish, folder: string): Promise<Apt> {
  for (const name of ['lists/partial', 'cache/archives/partial', 'parts']) {
    await mkdir(join(folder, name), { recursive: true })
  }
  const archive = await archiveAddress()
  const releases = wish.base === undefined ? [wish.release] : [wish.base, wish.release]
  const lines = releases.map((release) => `deb [signed-by=${keyring}] ${archive} ${release} main\n`)
  await writeFile(join(folder, 'sources.list'), lines.join(''))
  const values: Readonly<Record<string, string>> = {
    'Dir::Etc::sourcelist': join(folder, 'sources.list'),
    'Dir::Etc::sourceparts': join(folder, 'parts'),
    'Dir::Etc::preferencesparts': join(folder, 'parts'),
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Acquire::http::Timeout': '20',
    ...(process.getuid?.() === 0 && { 'APT::Sandbox::User': 'root' }),
  }
  const options = Object.entries(values).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const apt = { folder, options }
  // Without the error mode a list that could not be had is only a warning.
  await runApt(apt, 'apt-get', ['-qq', '-o', 'APT::Update::Error-Mode=any', 'update'])
  return apt
}

async function runApt(apt: Apt, program: string, args: readonly string[]): Promise<string> {
  const env = { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }
  try {
    return (await run(program, [...apt.options, ...args], { cwd: apt.folder, env })).stdout
  } catch (error) {
    if (!(error instanceof CommandError)) throw error
    const lines = error.stderr.split('\n').filter((line) => line.startsWith('E: '))
    throw new Error(`${program}: ${lines[0]?.slice(3) ?? error.message}`, { cause: error })
  }
}

/** Where this machine gets its packages of Debian from. */
async function archiveAddress(): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)'])
  const address = stdout.split('\n').find((text) => /\/debian\/?$/.test(text))
  if (address === undefined) throw new Error('apt-get knows no archive of Debian on this machine')
  return address
}

/** The version that this very release holds: with backports there are two. */
async function versionIn(apt: Apt, name: string, { release }: PackageWish): Promise<string> {
  const table = await runApt(apt, 'apt-cache', ['madison', name])
  const rows = table.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  const row = rows.find((cells) => cells[2]?.includes(` ${release}/`) === true)
  if (row?.[1] === undefined) throw new Error(`${release} of Debian holds no ${name}`)
  return row[1]
}

/** The library packages that `packages` need, and those need, and so on. */
async function findLibraries(apt: Apt, packages: readonly string[]): Promise<readonly string[]> {
  const libraries = new Set<string>()
  let next: readonly string[] = packages
  for (let depth = 0; next.length > 0; depth += 1) {
    if (depth === dependencyDepthMax) throw new Error('libraries that need libraries without end')
    const text = await runApt(apt, 'apt-cache', ['depends', '--important', ...next])
    const found = [...text.matchAll(/^ *(?:Pre)?Depends: (\S+)$/gm)].map((match) => match[1] ?? '')
    next = [...new Set(found)].filter((name) => libraryName.test(name) && !libraries.has(name))
    for (const name of next) libraries.add(name)
  }
  return [...libraries]
}

async function writePrograms(
  programs: readonly string[],
  root: string,
  folder: string,
): Promise<void> {
  const paths = await readdir(root, { recursive: true })
  const loader = paths.find((path) => /(^|\/)ld-linux[^/]*\.so\.[0-9]+$/.test(path))
  if (loader === undefined) throw new Error('the packages hold no loader')
  const libraries = paths.filter((path) => libraryPlace.test(path))
  const folders = new Set(libraries.map((path) => `$root/${dirname(path)}`))
  const libraryPath = [...folders].join(':')
  await mkdir(folder, { recursive: true })
  for (const name of programs) {
    await keepLinkInside(join(root, 'usr', 'bin', name), root)
    const lines = [
      '#!/bin/sh',
      'root="${0%/*}/../root"',
      `exec "$root/${loader}" --library-path "${libraryPath}" "$root/usr/bin/${name}" "$@"`,
      '',
    ]
    const path = join(folder, name)
    await writeFile(path, lines.join('\n'))
    await chmod(path, 0o755)
  }
}

/** A link to an absolute path would lead out of the folder, to this machine’s own program. */
async function keepLinkInside(path: string, root: string): Promise<void> {
  const target = await readlink(path).catch(() => '')
  if (!target.startsWith('/')) return
  await rm(path)
  await symlink(relative(join(path, '..'), join(root, target)), path)
}
