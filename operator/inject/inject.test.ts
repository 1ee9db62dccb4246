/**
 * Golden files: `testdata/NAME.in.json` (a pod, and what to change in the RedisProxy) and `NAME.out.json` (the pod
 * afterwards, or why it stays as it is, and the warnings). `UPDATE_GOLDEN=1` rewrites the second for review.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseManifests } from '../api/manifest.ts'
import { type RedisProxy, injectedKey } from '../api/redis-proxy.ts'
import { readWish } from './annotations.ts'
import { inject } from './inject.ts'
import { readInjected, secretFile } from './layout.ts'
import type { PatchOperation, Pod } from './pod.ts'
import { review } from './review.ts'
import { silentLog } from '../../common/log.ts'
import { parseReview } from './webhook.ts'

const folder = join(import.meta.dirname, 'testdata')
const options = {
  image: 'ghcr.io/respmesh/respmesh:0.1.0',
  streamUrl: 'https://respmesh-operator.respmesh.svc:8443',
}

function proxyWith(spec: object): RedisProxy {
  const manifest = {
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxy',
    metadata: { name: 'cache', namespace: 'shop' },
    spec: { backend: { endpoints: [{ host: 'redis-0.redis' }] }, ...spec },
  }
  const [proxy] = parseManifests(JSON.stringify(manifest), 'test').proxies
  assert.ok(proxy)
  return proxy
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.in.json'))) {
  const name = file.replace('.in.json', '')
  test(name.replaceAll('-', ' '), () => {
    const input = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
      pod: Pod
      spec?: object
    }
    const result = inject(input.pod, proxyWith(input.spec ?? {}), readWish(input.pod), options)
    const actual =
      result.kind === 'patch'
        ? { warnings: result.warnings, pod: apply(input.pod, result.patch) }
        : { warnings: result.warnings, skipped: result.reason }
    const golden = join(folder, `${name}.out.json`)
    if (process.env['UPDATE_GOLDEN'] === '1') {
      writeFileSync(golden, `${JSON.stringify(actual, null, 2)}\n`)
    }
    assert.deepEqual(actual, JSON.parse(readFileSync(golden, 'utf8')))
  })
}

/** Just what the injector uses of RFC 6902. */
function apply(pod: Pod, patch: readonly PatchOperation[]): unknown {
  const result = structuredClone(pod) as Record<string, unknown>
  for (const { path, value } of patch) {
    const parts = path
      .split('/')
      .slice(1)
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    const last = parts.pop() ?? ''
    const parent = parts.reduce<Record<string, unknown>>((node, part) => {
      assert.ok(part in node, `${path} leads nowhere`)
      return node[part] as Record<string, unknown>
    }, result)
    if (Array.isArray(parent)) parent.splice(last === '-' ? parent.length : Number(last), 0, value)
    else parent[last] = value
  }
  return result
}

const asking: Pod = {
  metadata: { labels: { 'respmesh.io/inject': 'cache' } },
  spec: { containers: [{ name: 'app' }] },
}

test('what was injected once stays as it is', () => {
  const proxy = proxyWith({})
  const first = inject(asking, proxy, readWish(asking), options)
  assert.equal(first.kind, 'patch')
  const pod = apply(asking, first.kind === 'patch' ? first.patch : []) as Pod
  assert.deepEqual(inject(pod, proxy, readWish(pod), options), {
    kind: 'skip',
    reason: 'AlreadyInjected',
    warnings: [],
  })
  assert.equal(readInjected(pod.metadata?.annotations?.[injectedKey])?.proxy, 'cache')
})

test('every Secret that the configuration names by file is mounted where it says', () => {
  const auth = { secretRef: { name: 'app' }, adminSecretRef: { name: 'admin' } }
  const proxy = proxyWith({
    backend: {
      endpoints: [{ host: 'redis-0.redis' }],
      auth,
      tls: { caSecretRef: { name: 'ca' }, clientCertSecretRef: { name: 'app' } },
    },
    proxy: { auth: { secretRef: { name: 'clients' } } },
  })
  const result = inject(asking, proxy, readWish(asking), options)
  const text = JSON.stringify(result.kind === 'patch' ? result.patch : [])
  for (const secret of ['app', 'ca', 'clients']) {
    const path = secretFile(secret, 'password').replace('/password', '')
    assert.ok(text.includes(`"mountPath":"${path}"`), secret)
  }
  assert.ok(!text.includes('"admin"'), 'the operator’s own Secret stays with the operator')
})

test('memory is for as many processes as there are, and too little of it is warned of', () => {
  const warnings = (proxy: object, annotations: Record<string, string> = {}) => {
    const pod: Pod = { ...asking, metadata: { ...asking.metadata, annotations } }
    const result = inject(pod, proxyWith({ proxy }), readWish(pod), options)
    const text = JSON.stringify(result.kind === 'patch' ? result.patch : [])
    return { limit: /"limits":\{"memory":"(\w+)"/.exec(text)?.[1], warnings: result.warnings }
  }
  assert.deepEqual(warnings({}), { limit: '192Mi', warnings: [] })
  assert.deepEqual(warnings({ workers: 3 }), { limit: '512Mi', warnings: [] })
  const small = warnings({ workers: 2, resources: { limits: { memory: '256Mi' } } })
  assert.match(small.warnings[0] ?? '', /limit is 256Mi, and it needs 288Mi/)
  assert.match(warnings({}, { 'respmesh.io/memory-limit': '64Mi' }).warnings[0] ?? '', /needs 96Mi/)
})

const modules = (proxy: RedisProxy | undefined) => {
  const seen: { outcomes: string[]; events: string[] } = { outcomes: [], events: [] }
  return {
    seen,
    findProxy: async () => proxy,
    publishEvent: (subject: { kind: string }, event: { reason: string }) => {
      seen.events.push(`${subject.kind} ${event.reason}`)
    },
    onOutcome: (outcome: string) => {
      seen.outcomes.push(outcome)
    },
    log: silentLog,
  }
}

const owned: Pod = {
  ...asking,
  metadata: {
    ...asking.metadata,
    ownerReferences: [
      { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'app-1', uid: 'u', controller: true },
    ],
  },
}

test('a pod that asks for a RedisProxy that is not there is allowed, with a warning and an Event', async () => {
  const world = modules(undefined)
  const answer = await review({ uid: '1', namespace: 'shop', object: owned }, options, world)
  assert.equal(answer.allowed, true)
  assert.equal(answer.patch, undefined)
  assert.match(answer.warnings?.[0] ?? '', /there is no RedisProxy "cache" in namespace shop/)
  assert.deepEqual(world.seen, {
    outcomes: ['UnknownProxy'],
    events: ['ReplicaSet InjectionSkipped'],
  })
})

test('a dry run leaves no Event behind', async () => {
  const world = modules(undefined)
  await review({ uid: '1', namespace: 'shop', object: owned, dryRun: true }, options, world)
  assert.deepEqual(world.seen.events, [])
})

test('a failure of the injector allows the pod, with a warning', async () => {
  const world = {
    ...modules(undefined),
    findProxy: async () => {
      throw new Error('away')
    },
  }
  const answer = await review({ uid: '1', namespace: 'shop', object: owned }, options, world)
  assert.equal(answer.allowed, true)
  assert.deepEqual(answer.warnings, ['respmesh: no sidecar: the injector failed (RM_WEBHOOK)'])
})

test('a pod that does not ask is left alone without a word', async () => {
  const world = modules(proxyWith({}))
  const pods: Pod[] = [
    { spec: { containers: [] } },
    { metadata: { labels: { 'respmesh.io/inject': 'false' } } },
  ]
  for (const object of pods) {
    assert.deepEqual(await review({ uid: '1', namespace: 'shop', object }, options, world), {
      uid: '1',
      allowed: true,
    })
  }
  assert.deepEqual(world.seen.outcomes, ['NotAsked', 'NotAsked'])
})

test('an annotation that is wrong becomes a warning, and the default is used', () => {
  const wish = readWish({
    metadata: {
      annotations: {
        'respmesh.io/inject': 'cache',
        'respmesh.io/memory-limit': 'lots',
        'respmesh.io/memory-request': '96Mi',
        'respmesh.io/memroy-limit': '1Gi',
      },
      labels: { 'respmesh.io/other': 'x' },
    },
  })
  assert.equal(wish.proxy, 'cache')
  assert.deepEqual(wish.resources, { 'respmesh.io/memory-request': '96Mi' })
  assert.equal(wish.warnings.length, 3)
  assert.deepEqual(
    readWish({ metadata: { labels: { 'respmesh.io/inject': 'Ca_che' } } }).proxy,
    undefined,
  )
})

test('what is no AdmissionReview is refused', () => {
  for (const text of ['', '[]', 'null', '{"apiVersion":"admission.k8s.io/v1beta1"}']) {
    assert.throws(() => parseReview(text), { code: 'RM_WEBHOOK' })
  }
})
