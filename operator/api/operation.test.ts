/** Operations as files: checked as the API server would. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { ConfigError } from '../../common/errors.ts'
import { parseManifests } from './manifest.ts'

const manifest = (spec: object) =>
  stringify({
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxyOperation',
    metadata: { name: 'move' },
    spec,
  })

test('the example is right, and a Switchover accepts nothing by default', () => {
  const path = join(import.meta.dirname, '../../examples/switchover.yaml')
  const { operations } = parseManifests(readFileSync(path, 'utf8'), 'switchover.yaml')
  assert.deepEqual(operations, [{ kind: 'Switchover', proxy: 'cache', accept: [] }])
})

const wrong: Readonly<Record<string, { readonly spec: object; readonly says: RegExp }>> = {
  'no proxy': { spec: { kind: 'Switchover' }, says: /spec\.proxy is required/ },
  'a kind that does not exist': { spec: { kind: 'Reboot', proxy: 'cache' }, says: /spec\.kind/ },
  'a server without a port': {
    spec: { kind: 'Switchover', proxy: 'cache', to: 'redis-1.redis' },
    says: /spec\.to/,
  },
  'a promotion of nobody': {
    spec: { kind: 'Promote', proxy: 'cache', accept: ['NoProof'] },
    says: /Promote names the server/,
  },
  'a switchover that would lose data': {
    spec: { kind: 'Switchover', proxy: 'cache', accept: ['DataLoss'] },
    says: /accept goes with kind Promote/,
  },
  'a field that does not exist': {
    spec: { kind: 'Switchover', proxy: 'cache', from: 'a:1' },
    says: /spec\.from is not a known field/,
  },
}

for (const [name, { spec, says }] of Object.entries(wrong)) {
  test(`${name} is refused, with the field`, () => {
    assert.throws(
      () => parseManifests(manifest(spec), 'move.yaml'),
      (error) => error instanceof ConfigError && says.test(error.message),
    )
  })
}
