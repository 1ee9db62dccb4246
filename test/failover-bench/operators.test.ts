/** Takes the time of a lease for each step, so at full size only. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { namespaceObstacle } from '../faults/lab/index.ts'
import { rowLine } from './row.ts'
import { suspensions, twoOperators } from './rows-operators.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const obstacle = namespaceObstacle()
const skip = obstacle === undefined ? false : `no faults can be made here: ${obstacle}`

for (const point of isFull ? suspensions : []) {
  test(`an operator that is suspended ${point} until another leads does no harm`, {
    skip,
  }, async (t) => {
    for (const row of await twoOperators([point])) {
      t.diagnostic(rowLine(row, 0))
      assert.ok(row.isMet)
    }
  })
}
