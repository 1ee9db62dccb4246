/** What goes with which mode; the e2e feeds some of the same to a real API server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '../../common/errors.ts'
import { parseManifests } from './manifest.ts'

function refusal(spec: string): string | undefined {
  const text = `apiVersion: respmesh.io/v1alpha1\nkind: RedisProxy\nmetadata: {name: cache}\nspec: ${spec}\n`
  try {
    parseManifests(text, 'file.yaml')
    return undefined
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
}

const endpoints = 'endpoints: [{host: a}, {host: b}]'
const sentinel = 'sentinel: {name: m, endpoints: [{host: s}]}'

const wrong: readonly (readonly [string, RegExp])[] = [
  [`{backend: {mode: Cluster, ${endpoints}, ${sentinel}}}`, /spec.backend sentinel goes with mode/],
  [`{backend: {${endpoints}, ring: {}}}`, /spec.backend ring goes with mode Ring only/],
  ['{backend: {endpoints: [{host: a, name: one}]}}', /name and endpoints\[\].weight go with mode/],
  ['{backend: {endpoints: [{host: a, weight: 2}]}}', /name and endpoints\[\].weight go with mode/],
  [`{backend: {mode: Ring, ${endpoints}}, proxy: {reads: {}}}`, /spec proxy.reads goes with/],
  [`{backend: {${endpoints}}, proxy: {cluster: {}}}`, /spec proxy.cluster goes with mode Cluster/],
  [`{backend: {mode: Cluster, ${endpoints}}, proxy: {rawPort: 1}}`, /spec proxy.rawPort goes with/],
  [`{backend: {${endpoints}}, proxy: {rawPort: 16380}}`, /rawPort must differ/],
  [`{backend: {${endpoints}}, proxy: {reads: {lagMax: 500ms}}}`, /lagMax must be between/],
  [`{backend: {${endpoints}}, proxy: {reads: {lagBytesMax: '0'}}}`, /lagBytesMax must be at least/],
  [`{backend: {${endpoints}}, proxy: {reads: {lagBytesMax: 8Pi}}}`, /lagBytesMax must be at least/],
  [`{backend: {${endpoints}}, proxy: {reads: {zone: a}}}`, /zone means something with choose/],
  [`{backend: {${endpoints}}, proxy: {retries: {delay: 11s}}}`, /delay must be between/],
  [`{backend: {${endpoints}}, proxy: {readTimeLimit: 2h}}`, /readTimeLimit must be at most 1h/],
  [`{backend: {mode: Ring, ${endpoints}, ring: {ejectFor: 10ms}}}`, /ejectFor must be between/],
  [`{backend: {mode: Ring, ${endpoints}, ring: {hashTag: '{'}}}`, /hashTag/],
]
for (const [spec, expected] of wrong) {
  test(`${spec} is refused`, () => {
    assert.match(refusal(spec) ?? 'it is taken', expected)
  })
}

test('what goes together is taken', () => {
  const right = [
    `{backend: {${endpoints}, ${sentinel}}, proxy: {reads: {choose: Zone, zone: a}, rawPort: 1}}`,
    `{backend: {mode: Cluster, ${endpoints}}, proxy: {reads: {}, cluster: {present: Nodes}, retries: {}}}`,
    '{backend: {mode: Ring, endpoints: [{host: a, name: one, weight: 2}], ring: {ejectAfter: 2}}}',
  ]
  for (const spec of right) assert.equal(refusal(spec), undefined)
})
