import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ConfigError } from '../../common/errors.ts'
import { type ManifestIssue, parseManifests } from './manifest.ts'

const head = 'apiVersion: respmesh.io/v1alpha1\nkind: RedisProxy\nmetadata: {name: cache}\n'

function issuesOf(text: string): readonly ManifestIssue[] {
  try {
    parseManifests(text, 'file.yaml')
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.code, 'RM_CONFIG_INVALID')
    return error.data['issues'] as ManifestIssue[]
  }
  return []
}

test('the example says only where the servers are; all else has a default', async () => {
  const file = join(import.meta.dirname, '../../examples/redisproxy.yaml')
  const { proxies } = parseManifests(await readFile(file, 'utf8'), file)
  const spec = proxies[0]?.spec
  assert.equal(spec?.backend.mode, 'Replication')
  assert.equal(spec?.backend.endpoints[1]?.port, 6379)
  assert.equal(spec?.backend.endpoints[1]?.promotable, true)
  assert.equal(spec?.proxy.port, 16379)
  assert.equal(spec?.failover.downAfter, '3s')
  assert.equal(spec?.suspend, false)
})

test('all errors of all documents come at once, each with its line', () => {
  const issues = issuesOf(
    [
      `${head}spec:`,
      '  backend:',
      '    mode: Sentinel',
      '    endpoints:',
      '      - {host: a, port: 0}',
      '---',
      `${head}spec:`,
      '  backend: {endpoints: [{hots: a}]}',
      '  failover: {downAfter: soon}',
    ].join('\n'),
  )
  assert.deepEqual(issues.map(({ document, line, path }) => [document, line, path]).sort(), [
    [0, 6, 'spec.backend.mode'],
    [0, 8, 'spec.backend.endpoints[0].port'],
    [1, 14, 'spec.backend.endpoints[0].host'],
    [1, 14, 'spec.backend.endpoints[0].hots'],
    [1, 15, 'spec.failover.downAfter'],
  ])
})

const cases: readonly (readonly [string, string, RegExp])[] = [
  [
    'two endpoints in mode Standalone',
    'backend: {mode: Standalone, endpoints: [{host: a}, {host: b}]}',
    /exactly one endpoint/,
  ],
  ['no promotable endpoint', 'backend: {endpoints: [{host: a, promotable: false}]}', /promotable/],
  [
    'an endpoint listed twice',
    'backend: {endpoints: [{host: a}, {host: a, port: 6379}]}',
    /listed twice/,
  ],
  [
    'downAfter too short',
    'backend: {endpoints: [{host: a}]}\n  failover: {downAfter: 1ms}',
    /200ms/,
  ],
  [
    'port and adminPort alike',
    'backend: {endpoints: [{host: a}]}\n  proxy: {port: 1, adminPort: 1}',
    /must differ/,
  ],
  ['an unknown field', 'backend: {endpoints: [{host: a}]}\n  sidecars: 3', /not a known field/],
]
for (const [name, spec, expected] of cases) {
  test(`${name} is refused`, () => {
    const issues = issuesOf(`${head}spec:\n  ${spec}\n`)
    assert.equal(issues.length, 1)
    assert.match(issues[0]?.message ?? '', expected)
  })
}

test('Secrets beside it are decoded, documents of other kinds are passed over', () => {
  const { proxies, secrets } = parseManifests(
    'kind: Secret\nmetadata: {name: s}\nstringData: {username: app}\ndata: {password: cDQ1cw==}\n---\nkind: Service\n',
    'file.yaml',
  )
  assert.equal(proxies.length, 0)
  assert.deepEqual(secrets.get('default/s'), { username: 'app', password: 'p45s' })
})

test('what is not YAML is said to be so', () => {
  assert.throws(() => parseManifests('a: [1', 'x.yaml'), { code: 'RM_CONFIG_UNREADABLE' })
})
