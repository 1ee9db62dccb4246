/** Whom the operator asks about the end of a primary: the pod by its name, the node only when the pod is not well. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Clock } from '../../common/clock.ts'
import { nodeLookMs, nodeSilenceMaxMs, podWatchIdleMs } from '../../common/limits.ts'
import { silentLog } from '../../common/log.ts'
import type { RedisProxy } from '../api/redis-proxy.ts'
import { answerError } from './api-error.ts'
import type { KubeClient, KubeRequest } from './client.ts'
import { Fates } from './fates.ts'
import type { ServerPod } from './pod-fate.ts'

const startMs = Date.parse('2026-03-01T12:00:00Z')
const proxy = { metadata: { namespace: 'shop', name: 'cache' } } as RedisProxy
const server = { host: 'redis-0.redis', port: 6379, sinceMs: startMs }

function pod(isReady: boolean, subdomain = 'redis'): ServerPod {
  return {
    metadata: {
      name: 'redis-0',
      namespace: 'shop',
      uid: 'a',
      creationTimestamp: '2026-03-01T10:00:00Z',
    },
    spec: {
      nodeName: 'n1',
      subdomain,
      terminationGracePeriodSeconds: 10,
      containers: [{ name: 'redis', ports: [{ containerPort: 6379 }] }],
    },
    status: {
      phase: 'Running',
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
      containerStatuses: [
        { name: 'redis', state: { running: { startedAt: '2026-03-01T10:00:00Z' } } },
      ],
    },
  }
}

interface Answers {
  readonly pod?: ServerPod
  readonly taint?: string
  readonly isForbidden?: boolean
  readonly mayReadNodes?: boolean
}

function fates(
  context: TestContext,
  { taint, isForbidden, mayReadNodes = true, ...answers }: Answers,
) {
  const asked: string[] = []
  const heard: string[] = []
  let aheadMs = 0
  const clock: Clock = { monotonicMs: () => aheadMs, wallMs: () => startMs + 3_600_000 + aheadMs }
  const client = {
    async request({ path, query }: KubeRequest) {
      const selector = query?.['fieldSelector']
      asked.push(selector === undefined ? path : `${path} ${selector}`)
      if (!path.includes('/nodes/')) {
        return { metadata: { resourceVersion: '1' }, items: answers.pod ? [answers.pod] : [] }
      }
      if (isForbidden === true) throw answerError(path, { status: 403, body: '' })
      return { metadata: { name: 'n1' }, spec: { taints: taint ? [{ key: taint }] : [] } }
    },
    // A watch on which nothing comes.
    open: ({ signal }: KubeRequest) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new Error('stopped')))
      }),
  } as unknown as KubeClient
  const modules = { client, clock, log: silentLog, random: () => 0.5, mayReadNodes }
  const known = new Fates(modules)
  known.onChange((key) => heard.push(key))
  context.after(() => known.stop())
  return {
    asked,
    heard,
    fate: (host = server.host) => known.fate(proxy, { ...server, host }),
    advance: (ms: number) => (aheadMs += ms),
    settled: () => new Promise<void>((done) => void setImmediate(() => setImmediate(done))),
    nodesAsked: () => asked.filter((path) => path.includes('/nodes/')).length,
  }
}

test('a pod is watched by its name from the first question on, and whoever asked hears of it', async (context) => {
  const { asked, heard, fate, settled, nodesAsked } = fates(context, { pod: pod(true) })
  assert.equal(fate(), undefined)
  await settled()
  assert.deepEqual(asked, ['/api/v1/namespaces/shop/pods metadata.name=redis-0'])
  assert.deepEqual([...new Set(heard)], ['shop/cache'])
  assert.equal(fate(), undefined)
  assert.equal(nodesAsked(), 0, 'a pod that is well needs no look at its node')
})

test('a host that is no pod of a Service of the namespace is not asked about', (context) => {
  const { asked, fate } = fates(context, { pod: pod(true) })
  for (const host of ['10.0.0.1', 'redis', 'redis-0.redis.other.svc', 'cache.example.com']) {
    assert.equal(fate(host), undefined)
  }
  assert.deepEqual(asked, [])
})

test('a pod that is not well has its node looked at, now and then', async (context) => {
  const taint = 'node.kubernetes.io/out-of-service'
  const { fate, settled, nodesAsked, advance } = fates(context, { pod: pod(false), taint })
  fate()
  await settled()
  fate()
  fate()
  assert.equal(nodesAsked(), 1)
  await settled()
  assert.match(fate() ?? '', /out of service/)
  advance(nodeLookMs)
  fate()
  assert.equal(nodesAsked(), 1, 'what is known need not be asked')
})

test('a pod of that name behind another Service is none of ours', async (context) => {
  const taint = 'node.kubernetes.io/out-of-service'
  const { fate, settled, nodesAsked } = fates(context, { pod: pod(false, 'other'), taint })
  fate()
  await settled()
  assert.equal(fate(), undefined)
  assert.equal(nodesAsked(), 0)
})

test('without the right to read nodes they are asked for once, or never', async (context) => {
  const refused = fates(context, { pod: pod(false), isForbidden: true })
  refused.fate()
  await refused.settled()
  for (let count = 0; count < 3; count += 1) {
    refused.fate()
    refused.advance(nodeLookMs)
    await refused.settled()
  }
  assert.equal(refused.nodesAsked(), 1)
  const never = fates(context, { pod: pod(false), mayReadNodes: false })
  never.fate()
  await never.settled()
  never.fate()
  assert.equal(never.nodesAsked(), 0)
})

test('a pod that nobody asks about is not watched for ever', async (context) => {
  const { asked, fate, advance, settled } = fates(context, { pod: pod(true) })
  fate()
  await settled()
  advance(Math.max(podWatchIdleMs, nodeSilenceMaxMs))
  fate('redis-1.redis')
  await settled()
  fate()
  await settled()
  assert.equal(asked.filter((path) => path.endsWith('=redis-0')).length, 2)
})
