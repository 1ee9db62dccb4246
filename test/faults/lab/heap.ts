/** What a program of a lab keeps in memory when all that it can do without is collected. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { until } from '../../support/servers.ts'

const preload = fileURLToPath(new URL('heap-preload.ts', import.meta.url))
const answerMaxMs = 30_000

/** Variables for a program that is to be asked. */
export function heapEnv(file: string): Readonly<Record<string, string>> {
  return { NODE_OPTIONS: `--expose-gc --import ${preload}`, LAB_HEAP_FILE: file }
}

/** Megabytes of JavaScript objects and of what they hold outside the heap. */
export async function heapMbOf(pid: number, file: string): Promise<number> {
  rmSync(file, { force: true })
  process.kill(pid, 'SIGUSR2')
  await until('it tells of its memory', () => existsSync(file), answerMaxMs)
  const { heapBytes, externalBytes } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly heapBytes: number
    readonly externalBytes: number
  }
  return (heapBytes + externalBytes) / 1024 / 1024
}
