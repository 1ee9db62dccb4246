import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from '../errors.ts'
import {
  type ProxyConfig,
  acceptConfig,
  parseProxyConfig,
  standaloneConfig,
} from './proxy-config.ts'

const valid = standaloneConfig({
  members: [{ host: '127.0.0.1', port: 6379 }],
  listeners: [{ host: '127.0.0.1', port: 16379 }],
})

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object ? Mutable<T[K]> : T[K] }
type Draft = Mutable<ProxyConfig> & Record<string, unknown>

function changed(change: (draft: Draft) => void): unknown {
  const draft = structuredClone(valid) as unknown as Draft
  change(draft)
  return draft
}

function issuesOf(value: unknown): readonly { path: string; message: string }[] {
  try {
    parseProxyConfig(value)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    assert.equal(error.code, 'RM_CONFIG_INVALID')
    return error.data['issues'] as { path: string; message: string }[]
  }
  return []
}

test('a valid configuration is taken as it is and cannot be changed afterwards', () => {
  const config = parseProxyConfig(structuredClone(valid))
  assert.deepEqual(config, valid)
  assert.ok(Object.isFrozen(config.upstream.members[0]))
})

test('every wrong field is named at once, with its value and what would be right', () => {
  const issues = issuesOf(
    changed((draft) => {
      draft.upstream.members[0]!.port = 99_999
      Object.assign(draft.upstream, { mode: 'shards' })
      draft.limits.clientsMax = 0
      draft['surprise'] = true
    }),
  )
  assert.deepEqual(issues.map(({ path }) => path).sort(), [
    'limits.clientsMax',
    'surprise',
    'upstream.members[0].port',
    'upstream.mode',
  ])
  const mode = issues.find(({ path }) => path === 'upstream.mode')
  assert.equal(
    mode?.message,
    'must be one of "standalone", "replication", "cluster", "ring" (it is "shards")',
  )
})

test('a secret given as a value is refused: the contract carries references only', () => {
  const issues = issuesOf(
    changed((draft) => {
      Object.assign(draft.upstream, { credentials: { password: 'hunter2' } })
    }),
  )
  assert.deepEqual(
    issues.map(({ path }) => path),
    ['upstream.credentials.password'],
  )
})

test('replies to writes wait for replicas where there are some, and less long than a reply may take', () => {
  const pathsOf = (mode: 'replication' | 'ring', replyTimeoutMs: number) =>
    issuesOf(
      changed((draft) => {
        const writes = { waitReplicas: 1, waitTimeoutMs: 1000 }
        Object.assign(draft.upstream, { mode, discovery: 'self', writes })
        Object.assign(draft.timing, { replyTimeoutMs })
      }),
    ).map(({ path }) => path)
  assert.deepEqual(pathsOf('ring', 0), ['upstream.writes'])
  assert.deepEqual(pathsOf('replication', 1000), ['upstream.writes.waitTimeoutMs'])
  assert.deepEqual(pathsOf('replication', 1001), [])
  assert.deepEqual(pathsOf('replication', 0), [])
})

test('a listener is a port or a socket, not both and not neither', () => {
  const both = { host: '127.0.0.1', port: 1, unixPath: '/tmp/s' }
  for (const listener of [both, {}, { host: '127.0.0.1' }]) {
    const issues = issuesOf(changed((draft) => draft.listeners.push(listener)))
    assert.deepEqual(issues, [
      { path: 'listeners[1]', message: 'give either unixPath, or host and port' },
    ])
  }
})

const at = (epoch: number, version: number, uid = 'a') =>
  ({ ...valid, epoch, version, proxy: { ...valid.proxy, uid } }) satisfies ProxyConfig

test('an older epoch is refused whatever its version', () => {
  assert.deepEqual(acceptConfig(at(3, 1), at(2, 99)), {
    kind: 'refuse',
    code: 'RM_CONFIG_STALE_EPOCH',
  })
})

test('another RedisProxy of the same name starts anew', () => {
  assert.deepEqual(acceptConfig(at(9, 9, 'a'), at(0, 0, 'b')), { kind: 'accept' })
})

test('whatever the order of arrival, a sidecar ends at the highest epoch and its highest version', () => {
  const pair = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }))
  fc.assert(
    fc.property(fc.array(pair, { minLength: 1, maxLength: 30 }), (pairs) => {
      let current: ProxyConfig | undefined
      for (const [epoch, version] of pairs) {
        const next = at(epoch, version)
        if (acceptConfig(current, next).kind === 'accept') current = next
      }
      const best = pairs.toSorted((a, b) => b[0] - a[0] || b[1] - a[1])[0]
      assert.deepEqual([current?.epoch, current?.version], best)
    }),
  )
})
