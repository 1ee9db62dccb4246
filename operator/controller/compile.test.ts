import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifests } from '../api/manifest.ts'
import type { RedisProxy, RedisProxyStatus } from '../api/redis-proxy.ts'
import { compileConfig, configDigest } from './compile.ts'
import type { SidecarPlacement } from './provider.ts'
import { canonical, changeEvents, needsWrite } from './status.ts'

function proxyOf(spec: string, status?: RedisProxyStatus): RedisProxy {
  const text = `apiVersion: respmesh.io/v1alpha1\nkind: RedisProxy\nmetadata: {name: cache, namespace: shop}\nspec: ${spec}\n`
  const [proxy] = parseManifests(text, 'test').proxies
  assert.ok(proxy)
  return { ...proxy, ...(status && { status }) }
}

const placement: SidecarPlacement = {
  secretFile: (_proxy, name, key) => `/secrets/${name}/${key}`,
  socketPath: '/run/socket/redis.sock',
}

function compile(proxy: RedisProxy, version = 7, place = placement) {
  return compileConfig({
    proxy,
    version,
    placement: place,
    secretKeys: new Map([['app', new Set(['password', 'username'])]]),
    qualifyHost: (host) => `${host}.shop.svc`,
  })
}

const members = '{backend: {endpoints: [{host: r0}, {host: r1, port: 7000}]}}'
const primary = { address: 'r1:7000', runId: 'run', replId: 'h', since: 'x' }

test('without a recorded primary the configuration names none', () => {
  const config = compile(proxyOf(members))
  assert.equal(config.upstream.primary, undefined)
  assert.equal(config.epoch, 0)
  assert.equal(config.upstream.discovery, 'operator')
})

test('the recorded primary is named with its process, and hosts are completed', () => {
  const config = compile(
    proxyOf(members, {
      epoch: 3,
      primary,
      members: [
        { address: 'r0:6379', role: 'replica', state: 'Online', runId: 'other' },
        { address: 'r1:7000', role: 'primary', state: 'Online', runId: 'run' },
      ],
    }),
  )
  assert.equal(config.epoch, 3)
  assert.equal(config.version, 7)
  assert.deepEqual(config.upstream.primary, { host: 'r1.shop.svc', port: 7000, runId: 'run' })
  assert.deepEqual(
    config.upstream.members.map(({ host, role }) => [host, role]),
    [
      ['r0.shop.svc', 'replica'],
      ['r1.shop.svc', 'primary'],
    ],
  )
})

test('a primary that was met at an address is named by it, and its certificate by the name', () => {
  const input = {
    version: 7,
    placement,
    secretKeys: new Map(),
    qualifyHost: (host: string) => `${host}.shop.svc`,
    primaryHost: '10.0.0.7',
  }
  const status = { epoch: 3, primary }
  const plain = compileConfig({ ...input, proxy: proxyOf(members, status) })
  assert.deepEqual(plain.upstream.primary, { host: '10.0.0.7', port: 7000, runId: 'run' })
  const secure = (tls: string, primaryHost = '10.0.0.7') => {
    const spec = `{backend: {endpoints: [{host: r1, port: 7000}], tls: ${tls}}}`
    const proxy = proxyOf(spec, status)
    return compileConfig({ ...input, primaryHost, proxy }).upstream.tls?.serverName
  }
  assert.equal(secure('{}'), 'r1.shop.svc')
  assert.equal(secure('{}', 'r1.shop.svc'), undefined)
  assert.equal(secure('{serverName: redis.example.com}'), 'redis.example.com')
})

test('a stray primary is not called a primary', () => {
  const stray = { address: 'r0:6379', role: 'primary', state: 'Stray' } as const
  const config = compile(proxyOf(members, { epoch: 3, primary, members: [stray] }))
  assert.equal(config.upstream.members[0]?.role, 'unknown')
})

test('secrets are files, and a user name only where the Secret has one', () => {
  const spec =
    '{backend: {endpoints: [{host: r0}], auth: {secretRef: {name: app}, adminSecretRef: {name: admin}}, tls: {caSecretRef: {name: ca}}}, proxy: {auth: {secretRef: {name: clients}}}}'
  const config = compile(proxyOf(spec))
  assert.deepEqual(config.upstream.credentials, {
    username: { file: '/secrets/app/username' },
    password: { file: '/secrets/app/password' },
  })
  assert.deepEqual(config.clientAuth?.users, [{ password: { file: '/secrets/clients/password' } }])
  assert.deepEqual(config.upstream.tls, { verify: true, caFile: '/secrets/ca/ca.crt' })
  assert.doesNotMatch(JSON.stringify(config), /secrets\/admin/)
})

test('settings of the spec arrive, and versions do not change the digest', () => {
  const spec =
    '{backend: {endpoints: [{host: r0}]}, proxy: {holdTimeout: 9s, queueTimeout: 2s, clientIdleTimeout: 1m, clientsMax: 5, connectionsMax: 3, workers: 4, isolation: PerClient, commands: {allow: [debug], deny: ["config|get", "*"]}}}'
  const config = compile(proxyOf(spec))
  assert.equal(config.timing.holdTimeoutMs, 9000)
  assert.equal(config.timing.queueTimeoutMs, 2000)
  assert.equal(config.timing.clientIdleTimeoutMs, 60_000)
  assert.equal(config.workers, 4)
  assert.equal(config.upstream.isolation, 'perClient')
  assert.deepEqual(config.commands, { allow: ['debug'], deny: ['config|get', '*'] })
  assert.equal(config.limits.clientsMax, 5)
  assert.equal(config.upstream.connectionsMax, 3)
  assert.equal(configDigest(config), configDigest(compile(proxyOf(spec), 99)))
})

test('each way in is a listener: plain, TLS, unix socket', () => {
  const listeners = (settings: string, place = placement) => {
    const spec = `{backend: {endpoints: [{host: r0}]}, proxy: ${settings}}`
    return compile(proxyOf(spec), 7, place).listeners
  }
  assert.deepEqual(listeners('{}'), [{ host: '127.0.0.1', port: 16379 }])
  const tls = '{secretRef: {name: own}, clientCertificate: Required, clientCaSecretRef: {name: ca}}'
  assert.deepEqual(listeners(`{port: 0, address: 0.0.0.0, tls: ${tls}, unixSocket: {}}`), [
    {
      host: '0.0.0.0',
      port: 16389,
      tls: {
        certFile: '/secrets/own/tls.crt',
        keyFile: '/secrets/own/tls.key',
        clientCertificate: 'required',
        clientCaFile: '/secrets/ca/ca.crt',
      },
    },
    { unixPath: '/run/socket/redis.sock' },
  ])
  const elsewhere = { ...placement, socketPath: undefined }
  assert.deepEqual(listeners('{unixSocket: {}}', elsewhere), [{ host: '127.0.0.1', port: 16379 }])
})

test('a cluster is asked by the sidecars themselves, and no primary is named', () => {
  const spec =
    '{backend: {mode: Cluster, endpoints: [{host: r0, zone: a}, {host: r1}]}, proxy: {cluster: {present: Sidecar}, reads: {choose: Latency, lagMax: 1500ms, lagBytesMax: 1Ki, readYourWrites: false}, retries: {max: 3, delay: 50ms}, readTimeLimit: 9s}}'
  const { upstream, timing } = compile(proxyOf(spec, { epoch: 2, primary }))
  assert.equal(upstream.mode, 'cluster')
  assert.equal(upstream.discovery, 'self')
  assert.equal(upstream.primary, undefined)
  assert.deepEqual(upstream.cluster, { present: 'sidecar' })
  assert.deepEqual(upstream.reads, {
    policy: 'readsToReplicas',
    choose: 'latency',
    lagSecondsMax: 2,
    lagBytesMax: 1024,
    readYourWrites: false,
  })
  assert.deepEqual(upstream.retries, { maxRetries: 3, retryDelayMs: 50 })
  assert.equal(timing.readTimeLimitMs, 9000)
  assert.deepEqual(
    upstream.members.map(({ zone, role }) => [zone, role]),
    [
      ['a', 'unknown'],
      [undefined, 'unknown'],
    ],
  )
})

test('Sentinels say which server is the primary, with access of their own', () => {
  const spec =
    '{backend: {endpoints: [{host: r0}], tls: {caSecretRef: {name: ca}}, sentinel: {name: m, endpoints: [{host: s0}, {host: s1, port: 7}], auth: {secretRef: {name: app}}, tls: {mode: SkipVerify, serverName: s}}}}'
  const { upstream } = compile(proxyOf(spec, { epoch: 2, primary }))
  assert.equal(upstream.discovery, 'sentinel')
  assert.equal(upstream.primary, undefined)
  assert.deepEqual(upstream.sentinel, {
    name: 'm',
    members: [
      { host: 's0.shop.svc', port: 26_379 },
      { host: 's1.shop.svc', port: 7 },
    ],
    credentials: {
      username: { file: '/secrets/app/username' },
      password: { file: '/secrets/app/password' },
    },
    tls: { verify: false, serverName: 's' },
  })
  assert.deepEqual(upstream.tls, { verify: true, caFile: '/secrets/ca/ca.crt' })
})

test('a ring is made of names and weights', () => {
  const spec =
    '{backend: {mode: Ring, endpoints: [{host: r0, name: one, weight: 3}, {host: r1}], ring: {hashTag: "<>", ejectAfter: 2}}}'
  const { upstream } = compile(proxyOf(spec))
  assert.equal(upstream.mode, 'ring')
  assert.deepEqual(upstream.ring, {
    hash: 'fnv1a_64',
    hashTag: '<>',
    ejectMs: 30_000,
    ejectAfter: 2,
  })
  assert.deepEqual(
    upstream.members.map(({ name, weight }) => [name, weight]),
    [
      ['one', 3],
      [undefined, undefined],
    ],
  )
})

test('members are in the zones of their pods, unless the spec says otherwise', () => {
  const config = compileConfig({
    proxy: proxyOf('{backend: {endpoints: [{host: r0}, {host: r1, zone: mine}, {host: r2}]}}'),
    version: 1,
    placement,
    secretKeys: new Map(),
    qualifyHost: (host) => host,
    zoneOf: (host) => (host === 'r2' ? undefined : `of ${host}`),
  })
  assert.deepEqual(
    config.upstream.members.map(({ zone }) => zone),
    ['of r0', 'mine', undefined],
  )
})

test('the admin port has its users and its certificate from Secrets, a raw port its listener', () => {
  const spec =
    '{backend: {endpoints: [{host: r0}]}, proxy: {rawPort: 7, admin: {auth: {secretRef: {name: app}}, tls: {secretRef: {name: own}}}}}'
  const { admin, listeners } = compile(proxyOf(spec))
  assert.deepEqual(admin, {
    host: '127.0.0.1',
    port: 16_380,
    users: [
      { username: { file: '/secrets/app/username' }, password: { file: '/secrets/app/password' } },
    ],
    tls: { certFile: '/secrets/own/tls.crt', keyFile: '/secrets/own/tls.key' },
  })
  assert.deepEqual(listeners[1], { host: '127.0.0.1', port: 7, raw: true })
})

test('a status that differs in offsets only is written now and then, any other at once', () => {
  const member = (offset: number) =>
    ({ address: 'a:1', role: 'replica', state: 'Online', offset }) as const
  const former: RedisProxyStatus = { epoch: 1, members: [member(1)] }
  assert.equal(needsWrite(former, { epoch: 1, members: [member(2)] }, 9999), false)
  assert.equal(needsWrite(former, { epoch: 1, members: [member(2)] }, 10_000), true)
  assert.equal(needsWrite(former, { epoch: 1, members: [member(1)] }, 60_000), false)
  assert.equal(needsWrite(former, { epoch: 2, members: [member(1)] }, 0), true)
  assert.equal(needsWrite(undefined, {}, 0), true)
  assert.equal(canonical({ b: 1, a: { d: 1, c: undefined } }), canonical({ a: { d: 1 }, b: 1 }))
})

test('a change is told once', () => {
  const of = (state: 'Online' | 'Unreachable'): RedisProxyStatus => ({
    members: [{ address: 'a:1', role: 'replica', state, message: 'it refuses connections' }],
  })
  assert.deepEqual(
    changeEvents(of('Online'), of('Unreachable')).map(({ reason }) => reason),
    ['MemberUnreachable'],
  )
  assert.deepEqual(changeEvents(of('Unreachable'), of('Unreachable')), [])
})
