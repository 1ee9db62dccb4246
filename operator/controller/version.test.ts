import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SidecarView } from './provider.ts'
import { newestObeyed, nextVersion } from './version.ts'

const view = (version: number, epoch: number): SidecarView => ({
  id: `p${version}`,
  primary: 'ok',
  connectedAtMs: 0,
  acked: { version, epoch },
})

test('a version is newer than what a controller with a clock ahead of ours has published', () => {
  const obeyed = newestObeyed([view(900, 4), view(5000, 5), view(7000, 5), view(9000, 6)], 5)
  assert.equal(obeyed, 7000)
  assert.equal(nextVersion({ published: 30, obeyed, wallMs: 6000 }), 7001)
})

test('a version follows the clock, and our own last one where that went back', () => {
  assert.equal(newestObeyed([], 5), 0)
  assert.equal(nextVersion({ published: undefined, obeyed: 0, wallMs: 6000.7 }), 6000)
  assert.equal(nextVersion({ published: 6500, obeyed: 0, wallMs: 6000 }), 6501)
})
