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
