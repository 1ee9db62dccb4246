/** Sidecars of pods that are gone: which are known to have ended, and what it takes until the others are. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Clock } from '../../common/clock.ts'
import { ghostBlindMs, ghostsMax, nodeClockSkewMs, nodeSilenceMaxMs } from '../../common/limits.ts'
import { type Log, silentLog } from '../../common/log.ts'
import { writeInjected } from '../inject/layout.ts'
import { answerError } from './api-error.ts'
import type { KubeClient, KubeRequest } from './client.ts'
import type { ContainerState, PodView } from './objects.ts'
import type { NodeObject } from './pod-fate.ts'
import { SidecarPods } from './sidecar-pods.ts'

const startMs = Date.parse('2026-03-01T12:00:00Z')
const graceSeconds = 10
const heardMs = nodeSilenceMaxMs + graceSeconds * 1000 + nodeClockSkewMs

interface Shape {
  readonly uid?: string
  readonly version?: string
  readonly metadata?: Partial<PodView['metadata']>
  readonly status?: PodView['status']
  readonly state?: ContainerState
}

const runs: ContainerState = { running: { startedAt: '2026-03-01T10:00:02Z' } }

/** As `kubectl get pod app -o json` shows it, cut to what is read. */
function pod({ uid = 'aaaaaaaa-1', version = '1', metadata, status, state = runs }: Shape = {}) {
  const injected = writeInjected({ proxy: 'cache', image: 'i', container: 'respmesh' })
  const annotations = { 'respmesh.io/injected': injected }
  const seen: PodView = {
    metadata: {
      namespace: 'shop',
      name: 'app',
      uid,
      resourceVersion: version,
      annotations,
      ...metadata,
    },
    spec: { nodeName: 'n1', terminationGracePeriodSeconds: graceSeconds },
    status: {
      phase: 'Running',
      initContainerStatuses: [{ name: 'respmesh', restartCount: 0, state, lastState: {} }],
      ...status,
    },
  }
  return seen
}

const told = { deletionTimestamp: '2026-03-01T12:00:10Z', deletionGracePeriodSeconds: 10 }
const ended: ContainerState = { terminated: { finishedAt: '2026-03-01T12:00:03Z', exitCode: 0 } }
const collected = [{ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC' }]
const ghost = 'shop/app (aaaaaaaa, deleted)'

const node = (ready: string, since: number, taint?: string): NodeObject => ({
  metadata: { name: 'n1' },
  spec: { taints: taint === undefined ? [] : [{ key: taint }] },
  status: {
    conditions: [
      { type: 'Ready', status: ready, lastTransitionTime: new Date(since).toISOString() },
    ],
  },
})

/** What the API says of the node: an object, a refusal by its status, or nothing at all. */
type Answer = NodeObject | 403 | 404 | undefined

function watching(context: TestContext, { mayReadNodes = true, log = silentLog } = {}) {
  const world: { answer: Answer; aheadMs: number } = { answer: undefined, aheadMs: 0 }
  const heard: string[] = []
  let asked = 0
  const clock: Clock = {
    monotonicMs: () => world.aheadMs,
    wallMs: () => startMs + world.aheadMs,
  }
  const client = {
    async request({ path }: KubeRequest) {
      asked += 1
      const { answer } = world
      if (answer === undefined) throw new Error('connect ECONNREFUSED')
      if (typeof answer === 'number') throw answerError(path, { status: answer, body: '' })
      return answer
    },
  } as unknown as KubeClient
  const pods = new SidecarPods({ client, clock, log, mayReadNodes })
  pods.onChange((key) => heard.push(key))
  context.after(() => pods.stop())
  return {
    pods,
    heard,
    nodesAsked: () => asked,
    expected: () => pods.expected('shop/cache'),
    /** What is expected once the node was asked for, when so much time has passed since the deletion. */
    after: async (ms: number, answer: Answer) => {
      world.aheadMs = ms
      world.answer = answer
      await pods.sweep()
      return pods.expected('shop/cache')
    },
  }
}

const ready = node('True', startMs - 3_600_000)

test('a pod that was told to end, and whose kubelet says that the sidecar did, is gone with it', (context) => {
  const { pods, expected, heard } = watching(context)
  for (const last of [
    pod({ metadata: told, status: { phase: 'Succeeded' }, state: ended }),
    pod({ metadata: told, status: { phase: 'Failed' }, state: ended }),
    pod({ status: { phase: 'Succeeded' }, state: ended }),
    pod({ metadata: told, state: ended }),
  ]) {
    pods.put(pod())
    assert.deepEqual(expected(), ['shop/app'])
    pods.remove({ ...last, metadata: { ...last.metadata, resourceVersion: '2' } })
    assert.deepEqual(expected(), [])
  }
  pods.put({ ...pod(), spec: {} })
  pods.remove({ ...pod({ version: '2' }), spec: {} })
  assert.deepEqual(expected(), [], 'it never had a node')
  assert.deepEqual(heard, [])
})

test('a sidecar counts on when nobody told of its end', (context) => {
  const lost: ContainerState = { terminated: { exitCode: 137 } }
  for (const last of [
    pod(),
    pod({ metadata: told }),
    // It crashed, and the kubelet may have started it again.
    pod({ state: ended }),
    pod({ metadata: told, state: lost }),
    pod({ state: { waiting: {} } }),
    pod({ metadata: told, status: { phase: 'Failed', conditions: collected } }),
  ]) {
    const { pods, expected, heard } = watching(context)
    pods.put(pod())
    pods.remove(last)
    assert.deepEqual(expected(), [ghost])
    assert.deepEqual(heard, ['shop/cache'])
    assert.deepEqual(pods.expected('shop/other'), [])
  }
})

test('a pod that a collector called failed counts before its deletion as well', (context) => {
  const { pods, expected } = watching(context)
  pods.put(pod({ status: { phase: 'Failed', conditions: collected } }))
  assert.deepEqual(expected(), ['shop/app'])
})

test('a pod that a new list does not show left unseen; the next one of its name does not stand for it', (context) => {
  const { pods, expected } = watching(context)
  pods.replaceAll([pod()])
  pods.replaceAll([])
  assert.deepEqual(expected(), [ghost])
  const next = { uid: 'bbbbbbbb-1', version: '3' }
  pods.put(pod(next))
  assert.deepEqual(expected(), ['shop/app', ghost])
  pods.replaceAll([pod({ uid: 'cccccccc-1', version: '5' })])
  assert.deepEqual(expected(), ['shop/app', ghost, 'shop/app (bbbbbbbb, deleted)'])
  pods.put(pod({ uid: 'dddddddd-1', version: '6' }))
  assert.equal(expected().length, 4)
})

test('later word of a pod ends what was only supposed of it', (context) => {
  const { pods, expected, heard } = watching(context)
  pods.replaceAll([pod()])
  pods.replaceAll([])
  pods.put(pod({ version: '2' }))
  assert.deepEqual(expected(), ['shop/app'])
  pods.replaceAll([])
  pods.remove(pod({ metadata: told, status: { phase: 'Succeeded' }, state: ended, version: '3' }))
  assert.deepEqual(expected(), [])
  assert.equal(heard.length, 4)
})

function forced(context: TestContext, options: Parameters<typeof watching>[1] = {}) {
  const watched = watching(context, options)
  watched.pods.put(pod())
  watched.pods.remove(pod({ version: '2' }))
  return watched
}

test('a deleted sidecar ends once its node was ready for longer than it may have been deaf', async (context) => {
  const { after, heard } = forced(context)
  assert.deepEqual(await after(0, ready), [ghost])
  assert.deepEqual(await after(heardMs - 1, ready), [ghost])
  assert.equal(heard.length, 1)
  assert.deepEqual(await after(heardMs, ready), [])
  assert.equal(heard.length, 2)
})

test('a node that was away counts from its return', async (context) => {
  const { after } = forced(context)
  const day = 86_400_000
  assert.deepEqual(await after(day, node('Unknown', startMs)), [ghost])
  assert.deepEqual(await after(day, node('False', startMs)), [ghost])
  const back = node('True', startMs + day)
  assert.deepEqual(await after(day + heardMs - 1, back), [ghost])
  assert.deepEqual(await after(day + heardMs, back), [])
})

test('nothing follows from a node that cannot be asked for, whatever it said before', async (context) => {
  const { after } = forced(context)
  assert.deepEqual(await after(1000, ready), [ghost])
  assert.deepEqual(await after(10 * ghostBlindMs, undefined), [ghost])
})

test('a node that is out of service takes its sidecars with it at once', async (context) => {
  const unreachable = node('Unknown', startMs, 'node.kubernetes.io/unreachable')
  const out = node('Unknown', startMs, 'node.kubernetes.io/out-of-service')
  const { after } = forced(context)
  assert.deepEqual(await after(0, unreachable), [ghost])
  assert.deepEqual(await after(0, out), [])
})

test('where nothing can be known of the node the sidecar counts for a long time', async (context) => {
  const endMs = ghostBlindMs + graceSeconds * 1000
  for (const answer of [404, 403] as const) {
    const { after } = forced(context)
    assert.deepEqual(await after(endMs - 1, answer), [ghost])
    assert.deepEqual(await after(endMs, answer), [], String(answer))
  }
  const { after, nodesAsked } = forced(context, { mayReadNodes: false })
  assert.deepEqual(await after(endMs - 1, ready), [ghost])
  assert.deepEqual(await after(endMs, ready), [])
  assert.equal(nodesAsked(), 0)
})

test('the grace that a pod had before it was deleted by force is waited for', async (context) => {
  const { pods, after } = watching(context)
  const slow = { deletionTimestamp: '2026-03-01T12:10:00Z', deletionGracePeriodSeconds: 600 }
  pods.put(pod({ metadata: slow }))
  pods.remove(pod({ metadata: { ...slow, deletionGracePeriodSeconds: 0 } }))
  assert.deepEqual(await after(heardMs, ready), [ghost])
  assert.deepEqual(await after(heardMs + 590_000, ready), [])
})

test('a deleted sidecar is looked after without being asked about', async (context) => {
  const { heard, expected, pods, after } = watching(context)
  // Tells the fake what to answer; there is no ghost yet.
  await after(0, node('Unknown', startMs, 'node.kubernetes.io/out-of-service'))
  const { promise, resolve } = Promise.withResolvers<void>()
  pods.onChange(() => heard.length === 2 && resolve())
  pods.put(pod())
  pods.remove(pod({ version: '2' }))
  await promise
  assert.deepEqual(expected(), [])
})

test('of too many deleted sidecars the oldest is forgotten, and that is said', (context) => {
  const warnings: unknown[] = []
  const log = { ...silentLog, info() {}, warn: (fields: unknown) => warnings.push(fields) }
  const { pods, expected } = watching(context, { log: log as unknown as Log })
  const uid = (index: number) => `${String(index).padStart(8, '0')}-x`
  for (let index = 0; index <= ghostsMax; index += 1) {
    assert.equal(warnings.length, 0)
    pods.put(pod({ uid: uid(index) }))
    pods.remove(pod({ uid: uid(index) }))
  }
  assert.equal(expected().length, ghostsMax)
  assert.equal(expected()[0], 'shop/app (00000001, deleted)')
  assert.deepEqual(warnings, [
    { sidecar: 'shop/app (00000000, deleted)', proxy: 'shop/cache', node: 'n1' },
  ])
})
