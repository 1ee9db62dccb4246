/** What `npm test` consists of. */
import { glob } from 'node:fs/promises'

export interface Check {
  readonly name: string
  readonly command: readonly [string, ...string[]]
}

export interface Suite {
  readonly name: string
  /** Files, from the root of the repository. */
  readonly patterns: readonly string[]
  /** Test files at once; 1 where they measure time or share the machine’s network. */
  readonly concurrency: number
  /** A file that takes longer has failed. */
  readonly timeoutMs: number
  /** What must have been built. */
  readonly before?: Check
}

export const checks: readonly Check[] = [
  { name: 'format', command: ['biome', 'format', '.'] },
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'lint', command: ['oxlint', '--type-aware', '--deny-warnings'] },
]

export const suites: readonly Suite[] = [
  {
    name: 'unit',
    patterns: [
      '{common,sidecar,operator,cli,scripts}/**/*.test.ts',
      'test/*.test.ts',
      'test/{sim,bench,conformance}/**/*.test.ts',
    ],
    concurrency: 2,
    timeoutMs: 600_000,
  },
  {
    name: 'integration',
    patterns: ['test/{integration,fuzz,hostile}/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 900_000,
    before: { name: 'bundle', command: ['node', 'scripts/bundle.ts'] },
  },
  {
    name: 'faults',
    patterns: ['test/{faults,failover-bench}/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 2_400_000,
  },
  {
    name: 'e2e',
    patterns: ['test/{cluster,e2e}/**/*.test.ts'],
    concurrency: 1,
    timeoutMs: 2_400_000,
    before: { name: 'bundle for the image', command: ['node', 'scripts/bundle.ts'] },
  },
]

/** Its files in a stable order. @throws Error if there is none: a suite that runs nothing proves nothing. */
export async function findTests(suite: Suite): Promise<readonly string[]> {
  const files: string[] = []
  for (const pattern of suite.patterns) {
    for await (const file of glob(pattern, { exclude: ['**/node_modules/**'] })) files.push(file)
  }
  if (files.length === 0) throw new Error(`suite ${suite.name} has no test files`)
  return [...new Set(files)].sort()
}
