/** What the steps of the story on Kubernetes share. */
import type { TestContext } from 'node:test'

export type Step = (name: string, work: (t: TestContext) => Promise<void>) => Promise<void>

/** For the file that `RESPMESH_E2E_JSON` names. */
export type Figures = Record<string, unknown>

export const isFullSize = process.env['RESPMESH_TEST_SIZE'] === 'full'

/** Names of figures, if not the whole story is wanted: then only what leads up to them is played, and they. */
const wanted = process.env['RESPMESH_E2E_ONLY']?.split(',')

export const isWhole = wanted === undefined

export function isWanted(figure: string): boolean {
  return wanted?.includes(figure) ?? true
}
