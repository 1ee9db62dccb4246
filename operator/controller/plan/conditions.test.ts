import assert from 'node:assert/strict'
import { test } from 'node:test'
import { facts, planFor, steady } from './fixture.ts'

function inSync(expected: readonly string[]) {
  const servers = { a: facts() }
  const acked = { epoch: 4, version: 1 }
  const sidecars = [{ id: 'shop/here', connectedAtMs: 0, primary: 'ok' as const, acked }]
  const { status } = planFor({ servers, status: steady(), sidecars, expected })
  const found = status.conditions?.find(({ type }) => type === 'SidecarsInSync')
  return `${found?.status}/${found?.reason}: ${found?.message}`
}

test('sidecars that are missing are named, those of deleted pods as such, and of many the first', () => {
  assert.match(inSync(['shop/here']), /^True\/AllCurrent/)
  assert.equal(
    inSync(['shop/here', 'shop/a (0a1b2c3d, deleted)']),
    'False/SidecarsMissing: 1 of 2 sidecars are not connected: shop/a (0a1b2c3d, deleted)',
  )
  assert.equal(
    inSync(['e', 'd', 'c', 'b', 'a']),
    'False/SidecarsMissing: 5 of 5 sidecars are not connected: e, d, c and 2 more',
  )
})
