/**
 * Makes a folder that can serve as a container's root from programs of this machine: each with the
 * libraries that `ldd` lists, plus the few files every program expects. No distribution, no package
 * manager: what is not asked for is not there.
 */
import { chmod, copyFile, cp, mkdir, realpath, symlink, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CommandError, findProgram, run } from './command.ts'

export type FileSource =
  /** A file or folder of this machine, copied with links followed. */
  | { readonly from: string; readonly mode?: number }
  | { readonly content: string | Uint8Array; readonly mode?: number }

export type RootfsOptions = {
  /** Empty or absent folder to fill. */
  readonly into: string
  /** By their path in the container: `{ '/app/main.mjs': { from: 'dist/main.mjs' } }`. */
  readonly files?: Readonly<Record<string, FileSource>>
  /** Copies /etc/ssl/certs/ca-certificates.crt as well. */
  readonly withCertificates?: boolean
}

/** User and group of the entry `nonroot`, for `runAsNonRoot`. */
export const nonRootId = 65532

/**
 * Fills `into` with `programs` (names on PATH, or paths; a path's base name is its name in
 * `/usr/bin`, so `/bin/dash` and `/bin/sh` differ as they do here). Gives `into`.
 * @throws when a program is not found.
 */
export async function rootfsOf(
  programs: readonly string[],
  options: RootfsOptions,
): Promise<string> {
  const { into } = options
  for (const name of ['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'etc', 'root', 'run', 'var']) {
    await mkdir(join(into, name), { recursive: true })
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(into, name))
  for (const name of ['proc', 'sys', 'dev', 'data', 'home/nonroot']) {
    await mkdir(join(into, name), { recursive: true })
  }
  for (const name of ['tmp', 'data']) {
    await mkdir(join(into, name), { recursive: true })
    await chmod(join(into, name), 0o1777)
  }
  await writeAccounts(into)
  for (const program of programs) await addProgram(into, program)
  for (const [path, source] of Object.entries(options.files ?? {})) {
    await addFile(join(into, path), source)
  }
  if (options.withCertificates === true) {
    const path = '/etc/ssl/certs/ca-certificates.crt'
    await addFile(join(into, path), { from: path })
  }
  return into
}

async function writeAccounts(into: string): Promise<void> {
  const passwd = [
    'root:x:0:0:root:/root:/bin/sh',
    `nonroot:x:${nonRootId}:${nonRootId}:nonroot:/home/nonroot:/bin/sh`,
  ]
  const group = ['root:x:0:', `nonroot:x:${nonRootId}:`]
  const names = ['passwd: files', 'group: files', 'hosts: files dns']
  const write = (name: string, lines: readonly string[]) =>
    writeFile(join(into, 'etc', name), `${lines.join('\n')}\n`)
  await write('passwd', passwd)
  await write('group', group)
  await write('nsswitch.conf', names)
}

async function addProgram(into: string, program: string): Promise<void> {
  const found = await findProgram(program, ['/usr/sbin', '/sbin'])
  if (found === undefined) throw new Error(`rootfsOf: there is no program ${program} here`)
  const source = await realpath(found)
  const target = join(into, 'usr/bin', basename(program))
  await copyFile(source, target)
  await chmod(target, 0o755)
  for (const library of await librariesOf(source)) {
    const libraryTarget = join(into, library)
    await mkdir(dirname(libraryTarget), { recursive: true })
    await copyFile(await realpath(library), libraryTarget)
  }
}

/** Paths of the shared libraries and the loader; none for a static program or a script. */
async function librariesOf(program: string): Promise<readonly string[]> {
  let listing: string
  try {
    listing = (await run('ldd', [program])).stdout
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === 1) return []
    throw error
  }
  const paths = listing.split('\n').map((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1])
  const missing = listing.split('\n').filter((line) => line.includes('not found'))
  if (missing.length > 0) throw new Error(`rootfsOf: ${program} lacks ${missing.join(', ').trim()}`)
  return paths.filter((path) => path !== undefined)
}

async function addFile(target: string, source: FileSource): Promise<void> {
  await mkdir(dirname(target), { recursive: true })
  if ('from' in source) await cp(source.from, target, { recursive: true, dereference: true })
  else await writeFile(target, source.content)
  if (source.mode !== undefined) await chmod(target, source.mode)
}
