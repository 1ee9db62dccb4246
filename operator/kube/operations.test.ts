/** The desk of operations on Kubernetes, with an API that is a table of answers. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { ProxyError } from '../../common/errors.ts'
import { operationGraceMs, operationSweepMs } from '../../common/limits.ts'
import { silentLog } from '../../common/log.ts'
import type { OperationResourceStatus, RedisProxyOperation } from '../api/operation.ts'
import type { KubeClient, KubeRequest } from './client.ts'
import { Operations, recordedName } from './operations.ts'

const key = 'shop/cache'

function operation(
  name: string,
  second: number,
  more: {
    readonly proxy?: string
    readonly uid?: string
    readonly status?: OperationResourceStatus
  } = {},
): RedisProxyOperation {
  const { proxy = 'cache', uid = `uid-of-${name}`, status } = more
  return {
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxyOperation',
    metadata: {
      name,
      namespace: 'shop',
      uid,
      generation: 1,
      resourceVersion: '1',
      creationTimestamp: `2026-03-01T10:00:0${second}Z`,
    },
    spec: { kind: 'Switchover', proxy, accept: [] },
    ...(status && { status }),
  }
}

interface Written {
  readonly path: string
  readonly status: OperationResourceStatus
  readonly version: string
}

function desk(context: TestContext) {
  const written: Written[] = []
  let now = 0
  let version = 1
  let isLeader = true
  let fails = false
  const client = {
    async request(request: KubeRequest) {
      if (fails) throw new ProxyError('RM_CONFLICT', 'someone was first')
      const body = request.body as RedisProxyOperation
      const { resourceVersion } = body.metadata
      written.push({ path: request.path, status: body.status ?? {}, version: resourceVersion })
      version += 1
      return {
        ...body,
        metadata: { ...body.metadata, generation: 1, resourceVersion: String(version) },
      }
    },
  } as unknown as KubeClient
  const operations = new Operations({
    client,
    clock: { monotonicMs: () => now, wallMs: () => 1_000_000 + now },
    log: silentLog,
    isLeader: () => isLeader,
    hasProxy: (name) => name === key,
  })
  context.after(() => operations.stop())
  return {
    operations,
    written,
    advance: (ms: number) => (now += ms),
    follow: () => (isLeader = false),
    fail: (does: boolean) => (fails = does),
    settled: () => new Promise<void>((done) => void setImmediate(done)),
  }
}

test('what is pending comes oldest first, without what has ended or is of another proxy', (context) => {
  const { operations } = desk(context)
  operations.objects.replaceAll([
    operation('late', 5),
    operation('b', 1),
    operation('a', 1),
    operation('over', 0, { status: { phase: 'Succeeded' } }),
    operation('other', 0, { proxy: 'queue' }),
  ])
  const names = operations.pending(key).map(({ name }) => name.split('/')[0])
  assert.deepEqual(names, ['a', 'b', 'late'])
})

test('a report is written once, with the version that was seen, and again if it was lost', async (context) => {
  const { operations, written, fail, settled } = desk(context)
  const move = operation('move', 1)
  operations.objects.replaceAll([move])
  const running = {
    name: recordedName(move),
    phase: 'Running',
    message: 'clients are held',
    startedAt: '2026-03-01T10:00:02Z',
  } as const
  fail(true)
  operations.report(key, running)
  await settled()
  assert.equal(written.length, 0)
  fail(false)
  operations.report(key, running)
  operations.report(key, running)
  await settled()
  operations.report(key, running)
  await settled()
  assert.deepEqual(written, [
    {
      path: '/apis/respmesh.io/v1alpha1/namespaces/shop/redisproxyoperations/move/status',
      version: '1',
      status: {
        phase: 'Running',
        message: 'clients are held',
        startedAt: '2026-03-01T10:00:02Z',
        observedGeneration: 1,
      },
    },
  ])
  operations.report(key, { ...running, phase: 'Failed', endedAt: '2026-03-01T10:00:03Z' })
  await settled()
  assert.deepEqual([written[1]?.status.phase, written[1]?.version], ['Failed', '2'])
  assert.deepEqual(operations.pending(key), [])
})

test('the end of an operation is not that of a later one of its name', async (context) => {
  const { operations, written, settled } = desk(context)
  const former = operation('move', 1, { uid: 'aaaaaaaa-1' })
  operations.objects.replaceAll([operation('move', 5, { uid: 'bbbbbbbb-1' })])
  const ended = { name: recordedName(former), message: 'done', startedAt: '' }
  operations.report(key, { ...ended, phase: 'Succeeded' })
  await settled()
  assert.equal(written.length, 0)
  assert.equal(operations.pending(key).length, 1)
})

test('what nobody begins is said to be pending, and what nobody can ever begin fails', async (context) => {
  const { operations, written, advance, settled } = desk(context)
  operations.objects.replaceAll([operation('move', 1), operation('lost', 1, { proxy: 'queue' })])
  operations.sweep()
  await settled()
  assert.equal(written.length, 0)
  advance(operationSweepMs)
  operations.sweep()
  await settled()
  assert.deepEqual(
    written.map(({ status }) => status.phase),
    ['Pending'],
  )
  advance(operationGraceMs)
  operations.sweep()
  await settled()
  assert.match(written[1]?.status.message ?? '', /there is no RedisProxy queue/)
  assert.equal(written[1]?.status.phase, 'Failed')
})

test('only the leader writes', async (context) => {
  const { operations, written, advance, follow, settled } = desk(context)
  operations.objects.replaceAll([operation('move', 1)])
  follow()
  advance(operationGraceMs)
  operations.sweep()
  operations.report(key, { name: 'move/uid-of-m', phase: 'Failed', message: '', startedAt: '' })
  await settled()
  assert.equal(written.length, 0)
})

test('whoever listens hears of the proxy, also when the operation is removed', (context) => {
  const { operations } = desk(context)
  const heard: string[] = []
  operations.onChange((proxy) => heard.push(proxy))
  const move = operation('move', 1)
  operations.objects.put(move)
  operations.objects.remove(move)
  assert.deepEqual(heard, [key, key])
})
