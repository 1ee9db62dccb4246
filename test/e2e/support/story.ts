/** What the steps of the story on Kubernetes share. */
import type { TestContext } from 'node:test'

export type Step = (name: string, work: (t: TestContext) => Promise<void>) => Promise<void>

/** For the file that `RESPMESH_E2E_JSON` names. */
export type Figures = Record<string, unknown>

export const isFullSize = process.env['RESPMESH_TEST_SIZE'] === 'full'
