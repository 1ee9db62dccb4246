/** Facts about the machine and its programs that a figure means nothing without. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { delimiter, join } from 'node:path'

/** Where distributions put daemons; often not on the PATH of users other than root. */
const daemonFolders = ['/usr/local/sbin', '/usr/sbin', '/sbin']
const root = join(import.meta.dirname, '..', '..')

export function programOnPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...daemonFolders]
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

/** The first line of what a program says of its version, on either stream. */
export function versionOf(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 })
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim())
  return lines.find((line) => /\d/.test(line)) ?? 'unknown'
}

/** The commit of this checkout, with a plus when files differ from it; `unknown` outside git. */
export function sourceVersion(): string {
  const git = (...args: string[]) =>
    spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim() ?? ''
  const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest
      ? String(manifest.version)
      : 'unknown'
  const commit = git('rev-parse', '--short', 'HEAD')
  const isChanged = git('status', '--porcelain', '--', 'sidecar', 'common', 'cli') !== ''
  return commit === '' ? version : `${version} (${commit}${isChanged ? '+' : ''})`
}

export interface MachineFacts {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  readonly loadAverageBefore: readonly number[]
}

export function machineFacts(): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
    loadAverageBefore: loadavg(),
  }
}

/** Makes the bundle of this checkout in `folder` and gives its entry. @throws Error with what the bundler said. */
export function makeBundle(folder: string): string {
  const bundler = join(root, 'scripts', 'bundle.ts')
  const args = ['--disable-warning=ExperimentalWarning', bundler, folder]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the bundle could not be made: ${stdout}${stderr}`)
  return join(folder, 'respmesh.mjs')
}
