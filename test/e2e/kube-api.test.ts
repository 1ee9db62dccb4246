/** The operator's Kubernetes door against a real API server, and a network that misbehaves in between. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { KubeConfig } from '@kubernetes/client-node'
import { type Clock, systemClock } from '../../common/clock.ts'
import { codeOf } from '../../common/errors.ts'
import { eventSeriesWriteMs, leaseDurationMs } from '../../common/limits.ts'
import { silentLog } from '../../common/log.ts'
import type { RedisProxy } from '../../operator/api/redis-proxy.ts'
import { answerError } from '../../operator/kube/api-error.ts'
import { BootstrapWriter } from '../../operator/kube/bootstrap.ts'
import { type KubeClient, createClient } from '../../operator/kube/client.ts'
import { createConnection } from '../../operator/kube/connection.ts'
import { EventRecorder } from '../../operator/kube/events.ts'
import { Elector } from '../../operator/kube/lease.ts'
import { redisProxyPath } from '../../operator/kube/names.ts'
import { ObjectStore } from '../../operator/kube/object-store.ts'
import { createPkiSecret } from '../../operator/kube/pki-secret.ts'
import { ProxyCache } from '../../operator/kube/proxies.ts'
import { startReflector } from '../../operator/kube/reflector.ts'
import { createTokenAuthentication } from '../../operator/kube/token.ts'
import { ensurePki } from '../../operator/pki/keeper.ts'
import { bundleOf } from '../../operator/pki/material.ts'
import { until } from '../support/servers.ts'
import { planCluster, startCluster, waitFor } from '../cluster/index.ts'
import { Relay } from './support/relay.ts'

const namespace = 'respmesh-kube'
const root = join(import.meta.dirname, '..', '..')
const random = () => Math.random()

const plan = await planCluster()
const skip = plan.kind === 'none' ? plan.reason : false
if (skip !== false) {
  console.log(`\n*** SKIPPED: the operator's Kubernetes door was NOT tested: ${skip}\n`)
}
const cluster = skip === false ? await startCluster() : undefined
const kubectl = async (command: string, input?: object) => {
  assert.ok(cluster)
  const options = input === undefined ? {} : { input: JSON.stringify(input) }
  return (await cluster.kubectl(['-n', namespace, ...command.split(' ')], options)).stdout.trim()
}

const manifest = {
  apiVersion: 'respmesh.io/v1alpha1',
  kind: 'RedisProxy',
  metadata: { name: 'cache' },
  spec: { backend: { endpoints: [{ host: 'redis-0.redis' }] } },
}

if (cluster !== undefined) {
  await kubectl(`create namespace ${namespace}`)
  await kubectl(`apply --server-side -f ${join(root, 'crds', 'respmesh.io_redisproxies.yaml')}`)
  // `kubectl wait` fails at once where there are no conditions yet.
  await until('the CRD is established', async () => {
    const path = '-o jsonpath={.status.conditions[?(@.type=="Established")].status}'
    return (await kubectl(`get crd/redisproxies.respmesh.io ${path}`)).includes('True')
  })
  await kubectl('create -f -', manifest)
}
after(async () => {
  if (cluster === undefined) return
  await kubectl(`delete namespace ${namespace} --timeout=60s`).catch(() => '')
  await kubectl('delete crd redisproxies.respmesh.io --timeout=30s').catch(() => '')
  await cluster.stop()
})

function config(): KubeConfig {
  assert.ok(cluster)
  const read = new KubeConfig()
  read.loadFromFile(cluster.kubeconfigPath)
  return read
}

const direct = (): KubeClient => createClient(createConnection(config(), systemClock), { random })

/** A client whose connections pass through a relay. */
async function relayed(): Promise<{ readonly relay: Relay; readonly client: KubeClient }> {
  const through = config()
  const [found] = through.clusters
  assert.ok(found)
  const { hostname, port } = new URL(found.server)
  const relay = await Relay.start({ host: hostname, port: Number(port === '' ? 443 : port) })
  const { caData: _caData, caFile: _caFile, ...rest } = found
  const server = `https://127.0.0.1:${relay.port}`
  through.clusters = [{ ...rest, server, skipTLSVerify: true }]
  return { relay, client: createClient(createConnection(through, systemClock), { random }) }
}

const configMap = (name: string) =>
  kubectl('create -f -', {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, labels: { watched: 'yes' } },
  })

test('a reflector misses nothing over a reset, a silent connection and a version that is too old', {
  skip,
}, async (t) => {
  const { relay, client } = await relayed()
  t.after(() => relay.stop())
  const store = new ObjectStore()
  const reasons: string[] = []
  let isFirstWatch = true
  const reflector = startReflector(
    {
      path: `/api/v1/namespaces/${namespace}/configmaps`,
      labelSelector: 'watched=yes',
      sink: store,
      silenceMaxMs: 3000,
      onRestart: (reason) => reasons.push(reason),
    },
    {
      log: silentLog,
      random,
      client: {
        ...client,
        // What a server answers that has forgotten the version; a young one has forgotten nothing.
        open: (request) => {
          if (!isFirstWatch) return client.open(request)
          isFirstWatch = false
          return Promise.reject(answerError('GET', { status: 410, body: '' }))
        },
      },
    },
  )
  t.after(() => reflector.stop())
  await reflector.synced
  const sees = (name: string, timeoutMs: number) =>
    waitFor(async () => store.get(`${namespace}/${name}`) !== undefined, {
      what: `${name} in the store`,
      timeoutMs,
    })
  await configMap('plain')
  await sees('plain', 30_000)
  assert.ok(reasons.includes('expired'), reasons.join(' '))

  relay.reset()
  await configMap('after-reset')
  await sees('after-reset', 30_000)
  assert.ok(reasons.includes('failed') || reasons.includes('ended'), reasons.join(' '))

  relay.silence()
  await configMap('after-silence')
  await sees('after-silence', 30_000)
  assert.ok(reasons.includes('silent'), reasons.join(' '))

  await kubectl('delete configmap plain')
  await waitFor(async () => store.get(`${namespace}/plain`) === undefined, {
    what: 'the removal in the store',
    timeoutMs: 30_000,
  })
})

test('a status is written once: whoever comes later is told, and the store shows it at once', {
  skip,
}, async () => {
  const client = direct()
  const cache = new ProxyCache(client)
  const read = async () => {
    const proxy = await client.request<RedisProxy>({
      method: 'GET',
      path: redisProxyPath(namespace, 'cache'),
    })
    return proxy
  }
  const proxy = await read()
  assert.equal(proxy.spec.proxy.port, 16379, 'the API server sets the defaults')
  const written = await cache.writeStatus(proxy, { epoch: 2, phase: 'Waiting' })
  assert.equal(cache.get(`${namespace}/cache`)?.status?.epoch, 2)
  await assert.rejects(
    cache.writeStatus(proxy, { epoch: 3 }),
    (error) => codeOf(error) === 'RM_CONFLICT',
  )
  await assert.rejects(
    cache.writeStatus(written, { epoch: 1 }),
    (error) => codeOf(error) === 'RM_API' && String(error).includes('never goes back'),
  )
})

test('a leader that is cut off stops before another one starts', { skip }, async (t) => {
  const { relay, client } = await relayed()
  t.after(() => relay.stop())
  const options = { namespace, name: 'test-lease' }
  const modules = { clock: systemClock, log: silentLog, random }
  const first = new Elector({ ...options, identity: 'first' }, { ...modules, client })
  const second = new Elector({ ...options, identity: 'second' }, { ...modules, client: direct() })
  const times: Record<string, number> = {}
  first.onChange((isLeader) => (times[`first ${isLeader}`] = performance.now()))
  second.onChange((isLeader) => (times[`second ${isLeader}`] = performance.now()))
  first.start()
  await waitFor(async () => first.isLeader(), { what: 'the first to lead', timeoutMs: 30_000 })
  second.start()
  t.after(() => second.stop())

  relay.silence(true)
  const cutAt = performance.now()
  await waitFor(async () => second.isLeader(), {
    what: 'the second to lead',
    timeoutMs: leaseDurationMs + 15_000,
  })
  assert.equal(first.isLeader(), false)
  const [lostAt = 0, takenAt = 0] = [times['first false'], times['second true']]
  t.diagnostic(
    `lost ${Math.round(lostAt - cutAt)} ms, taken ${Math.round(takenAt - cutAt)} ms after the cut`,
  )
  assert.ok(lostAt > 0 && lostAt < takenAt)
  await relay.stop()
  await first.stop()
})

test('a lease that is given back is taken within seconds', { skip }, async (t) => {
  const modules = { clock: systemClock, log: silentLog, random, client: direct() }
  const options = { namespace, name: 'given-lease' }
  const first = new Elector({ ...options, identity: 'first' }, modules)
  const second = new Elector({ ...options, identity: 'second' }, modules)
  first.start()
  await waitFor(async () => first.isLeader(), { what: 'the first to lead', timeoutMs: 30_000 })
  second.start()
  t.after(() => second.stop())
  await first.stop()
  await waitFor(async () => second.isLeader(), { what: 'the second to lead', timeoutMs: 20_000 })
})

test('repeated events become one with a count', { skip }, async () => {
  let aheadMs = 0
  const clock: Clock = {
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    wallMs: () => systemClock.wallMs(),
  }
  const client = direct()
  const recorder = new EventRecorder({ instance: 'test' }, { client, clock, log: silentLog })
  const proxy = await client.request<RedisProxy>({
    method: 'GET',
    path: redisProxyPath(namespace, 'cache'),
  })
  const event = { type: 'Warning', reason: 'Tested', action: 'Test', message: 'again' } as const
  for (let count = 0; count < 5; count += 1) recorder.publish(proxy, event)
  aheadMs = eventSeriesWriteMs
  recorder.publish(proxy, event)
  recorder.publish(proxy, { ...event, message: 'other' })
  await recorder.stop()
  const list = JSON.parse(await kubectl('get events.events.k8s.io -o json')) as {
    items: readonly { reason?: string; note?: string; series?: { count: number } }[]
  }
  const found = list.items.filter(({ reason }) => reason === 'Tested')
  assert.deepEqual(found.map(({ note, series }) => [note, series?.count]).toSorted(), [
    ['again', 6],
    ['other', undefined],
  ])
})

test('three replicas that start at once share one authority', { skip }, async () => {
  const dnsNames = ['operator.test.svc']
  const ensure = () => {
    const store = createPkiSecret({ namespace, name: 'test-pki' }, direct())
    return ensurePki(dnsNames, { store, clock: systemClock, log: silentLog })
  }
  const found = await Promise.all([ensure(), ensure(), ensure()])
  assert.equal(new Set(found.map(bundleOf)).size, 1)
  assert.deepEqual(await ensure(), found[0])
})

test('the bootstrap ConfigMap has both keys, an owner, and comes back when it is removed', {
  skip,
}, async (t) => {
  const client = direct()
  const proxy = await client.request<RedisProxy>({
    method: 'GET',
    path: redisProxyPath(namespace, 'cache'),
  })
  const writer = new BootstrapWriter({
    client,
    log: silentLog,
    isLeader: () => true,
    findProxy: () => proxy,
  })
  t.after(() => writer.stop())
  const key = `${namespace}/cache` as const
  writer.setBundle('authority')
  writer.touch(key)
  const read = () =>
    kubectl('get configmap respmesh-cache -o json').then(
      (text) =>
        JSON.parse(text) as {
          metadata: { ownerReferences: readonly { name: string }[] }
          data: Record<string, string>
        },
    )
  const holds = (keys: readonly string[]) =>
    waitFor(
      async () =>
        Object.keys((await read()).data)
          .toSorted()
          .join() === keys.join(),
      {
        what: `the keys ${keys.join()}`,
        timeoutMs: 30_000,
      },
    )
  await holds(['ca.crt'])
  const config = { version: 7 } as unknown as Parameters<BootstrapWriter['setConfig']>[1]
  writer.setConfig(key, config)
  await holds(['ca.crt', 'proxy-config.json'])
  assert.equal((await read()).metadata.ownerReferences[0]?.name, 'cache')
  await kubectl('delete configmap respmesh-cache')
  writer.refresh()
  await holds(['ca.crt', 'proxy-config.json'])
})

test('a token proves its pod for our audience and for nothing else', { skip }, async () => {
  const authenticate = createTokenAuthentication({
    client: direct(),
    clock: systemClock,
    findPod: () => undefined,
  })
  await waitFor(async () => (await kubectl('get serviceaccount default -o name')) !== '', {
    what: 'the default service account',
    timeoutMs: 20_000,
  })
  await kubectl('create -f -', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'bound' },
    spec: {
      nodeSelector: { nowhere: 'yes' },
      containers: [{ name: 'app', image: 'docker.io/respmesh/none:none' }],
    },
  })
  const token = (flags: string) => kubectl(`create token default ${flags}`)
  const bound = '--bound-object-kind Pod --bound-object-name bound'
  const good = await token(`--audience respmesh.io ${bound}`)
  assert.deepEqual(await authenticate(good, `${namespace}/cache`), {
    ok: true,
    sidecarId: `${namespace}/bound`,
  })
  const reasonOf = async (text: string, key: `${string}/${string}`) => {
    const answer = await authenticate(text, key)
    return answer.ok ? 'ok' : answer.reason
  }
  assert.equal(await reasonOf(good, 'elsewhere/cache'), 'forbidden')
  assert.equal(
    await reasonOf(await token('--audience respmesh.io'), `${namespace}/cache`),
    'unauthenticated',
  )
  assert.equal(await reasonOf(await token(bound), `${namespace}/cache`), 'unauthenticated')
  assert.equal(await reasonOf('nonsense', `${namespace}/cache`), 'unauthenticated')
})
