/** Programs of ours that a lab starts again and again are compiled once: on a busy machine that is most of their start. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url))
const quiet = '--disable-warning=ExperimentalWarning'
let directory: string | undefined

/** How a program of this checkout is started in a lab. */
export function programOf(file: string, ...args: readonly string[]): readonly string[] {
  return [process.execPath, quiet, file, ...args]
}

/** The variables for it. */
export function programEnv(): Readonly<Record<string, string>> {
  return { NODE_COMPILE_CACHE: directory ?? fill() }
}

/** Written by a program at its end, to which those of a lab do not come: they are killed. */
function fill(): string {
  const made = mkdtempSync(join(tmpdir(), 'respmesh-lab-compiled-'))
  process.once('exit', () => rmSync(made, { recursive: true, force: true }))
  const env = { ...process.env, NODE_COMPILE_CACHE: made }
  execFileSync(process.execPath, [quiet, program, 'sidecar', '--help'], { stdio: 'ignore', env })
  directory = made
  return made
}
