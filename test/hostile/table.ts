/** All rows. */
import type { Row } from './row.ts'
import { commandRows, loginRows } from './rows-commands.ts'
import { framingRows } from './rows-framing.ts'
import { foreignRows, inlineRows } from './rows-inline.ts'
import { policyRows } from './rows-policy.ts'

export const rows: readonly Row[] = [
  ...framingRows,
  ...inlineRows,
  ...foreignRows,
  ...commandRows,
  ...loginRows,
  ...policyRows,
]
