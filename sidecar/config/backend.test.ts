import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import { proxyConfigSchema } from '../../common/contract/schema.ts'
import { ConfigError } from '../../common/errors.ts'
import { backendSettings } from './backend-settings.ts'
import { sidecarOptions } from './options.ts'
import { applyOverrides } from './overrides.ts'
import { readSettings } from './settings.ts'

function optionsOf(env: Readonly<Record<string, string>>, args: readonly string[] = []) {
  return sidecarOptions(readSettings(args, env), env, 'id')
}

/** What the data path would be given. */
function configOf(env: Readonly<Record<string, string>>): ProxyConfig {
  const { source, overrides } = optionsOf(env)
  assert.equal(source.kind, 'standalone')
  return applyOverrides(source.config, overrides)
}

function problemsOf(env: Readonly<Record<string, string>>): string {
  try {
    optionsOf(env)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message
  }
  return ''
}

const servers = { RESPMESH_UPSTREAM: 'redis://a,redis://b' }

test('numbers have the bounds of the contract', () => {
  const { reads, retries, ring } = proxyConfigSchema.properties.upstream.properties
  const schemas: Readonly<Record<string, unknown>> = {
    readsLagSecondsMax: reads.properties.lagSecondsMax,
    readsLagBytesMax: reads.properties.lagBytesMax,
    maxRetries: retries.properties.maxRetries,
    retryDelayMs: retries.properties.retryDelayMs,
    ringEjectAfter: ring.properties.ejectAfter,
    ringEjectMs: ring.properties.ejectMs,
  }
  const bounded = Object.entries(backendSettings).filter(([, setting]) => 'minimum' in setting)
  assert.deepEqual(bounded.map(([name]) => name).toSorted(), Object.keys(schemas).toSorted())
  for (const [name, setting] of bounded) {
    const { minimum, maximum } = schemas[name] as Record<string, unknown>
    assert.ok('minimum' in setting)
    assert.deepEqual([setting.minimum, setting.maximum], [minimum, maximum], name)
  }
})

test('variables say what the backend is', () => {
  const { upstream } = configOf({
    ...servers,
    RESPMESH_READS: 'readsToReplicas',
    RESPMESH_READS_CHOOSE: 'zone',
    RESPMESH_ZONE: 'a',
    RESPMESH_READS_LAG_SECONDS_MAX: '3',
    RESPMESH_READ_YOUR_WRITES: 'false',
    RESPMESH_MAX_RETRIES: '2',
  })
  assert.equal(upstream.mode, 'replication')
  assert.deepEqual(upstream.reads, {
    policy: 'readsToReplicas',
    choose: 'zone',
    zone: 'a',
    lagSecondsMax: 3,
    readYourWrites: false,
  })
  assert.deepEqual(upstream.retries, { maxRetries: 2, retryDelayMs: 10 })
  assert.equal(configOf({ ...servers, RESPMESH_MODE: 'cluster' }).upstream.mode, 'cluster')
  const cluster = configOf({
    ...servers,
    RESPMESH_MODE: 'cluster',
    RESPMESH_CLUSTER_PRESENT: 'nodes',
  })
  assert.deepEqual(cluster.upstream.cluster, { present: 'nodes' })
  const ring = configOf({
    ...servers,
    RESPMESH_MODE: 'ring',
    RESPMESH_RING_HASH_TAG: '<>',
    RESPMESH_RING_EJECT_AFTER: '3',
  })
  assert.deepEqual(ring.upstream.ring, { hashTag: '<>', ejectAfter: 3 })
})

test('Sentinels are named with what they watch, and their password is a reference', () => {
  const { upstream } = configOf({
    RESPMESH_UPSTREAM: 'redis://a',
    RESPMESH_SENTINELS: '10.0.0.1:26379,10.0.0.2:26379',
    RESPMESH_SENTINEL_NAME: 'mymaster',
    RESPMESH_SENTINEL_PASSWORD: 'hunter2',
  })
  assert.deepEqual([upstream.mode, upstream.discovery], ['replication', 'sentinel'])
  assert.deepEqual(upstream.sentinel, {
    name: 'mymaster',
    members: [
      { host: '10.0.0.1', port: 26379 },
      { host: '10.0.0.2', port: 26379 },
    ],
    credentials: { password: { env: 'RESPMESH_SENTINEL_PASSWORD' } },
  })
})

test('what has no meaning is told with a remedy, all at once', () => {
  const told = problemsOf({
    ...servers,
    RESPMESH_MODE: 'clusters',
    RESPMESH_SENTINELS: 'x',
    RESPMESH_READS_CHOOSE: 'zone',
    RESPMESH_RING_EJECT_AFTER: '0',
    RESPMESH_CLUSTER_PRESENT: 'nodes',
    RESPMESH_ADMIN_TLS_CERT_FILE: '/c',
  })
  for (const sentence of [
    /MODE is "clusters": expected one of standalone/,
    /SENTINELS is "x"/,
    /SENTINEL_NAME is missing/,
    /READS_CHOOSE is "zone": it needs RESPMESH_READS/,
    /EJECT_AFTER is "0": expected a number from 1 to 1000/,
    /CLUSTER_PRESENT is "nodes": it needs RESPMESH_MODE=cluster/,
    /TLS needs both/,
  ]) {
    assert.match(told, sentence)
  }
})

test('the admin port of a configuration gets what variables add, and none is made of them alone', () => {
  const { overrides } = optionsOf({
    RESPMESH_CONFIG: '/f.json',
    RESPMESH_ADMIN_PASSWORD: 'hunter2',
    RESPMESH_ADMIN_TLS_CERT_FILE: '/c',
    RESPMESH_ADMIN_TLS_KEY_FILE: '/k',
  })
  const base = standaloneConfig({
    members: [{ host: 'a', port: 1 }],
    listeners: [{ unixPath: '/s' }],
  })
  assert.equal(applyOverrides(base, overrides).admin, undefined)
  const admin = { host: '127.0.0.1', port: 1234 }
  assert.deepEqual(applyOverrides({ ...base, admin }, overrides).admin, {
    ...admin,
    tls: { certFile: '/c', keyFile: '/k' },
    users: [{ password: { env: 'RESPMESH_ADMIN_PASSWORD' } }],
  })
  const raw = configOf({ ...servers, RESPMESH_LISTEN_RAW: '127.0.0.1:7000' })
  assert.deepEqual(raw.listeners, [{ host: '127.0.0.1', port: 7000, raw: true }])
})
