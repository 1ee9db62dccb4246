/** What pods as a kubelet reported them prove about the process of a primary, and what they do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../common/clock.ts'
import { formerPodsMax } from '../../common/limits.ts'
import { PodHistory } from './fates.ts'
import { type PodRecord, type SeenNode, type ServerPod, fateOf, needsNode } from './pod-fate.ts'

const created = '2026-03-01T10:00:00Z'
const sinceMs = Date.parse('2026-03-01T11:00:00.250Z')
const nowMs = Date.parse('2026-03-01T12:00:10Z')
const question = { port: 6379, sinceMs }
const nowhere = () => undefined

type Status = NonNullable<ServerPod['status']>
type Container = NonNullable<Status['containerStatuses']>[number]

const running = (startedAt: string): Container => ({
  name: 'redis',
  restartCount: 0,
  state: { running: { startedAt } },
  lastState: {},
})

/** As `kubectl get pod redis-0 -o json` shows it, cut to what is read. */
function pod(status: Status, metadata: Partial<ServerPod['metadata']> = {}, grace = 10): ServerPod {
  return {
    metadata: {
      name: 'redis-0',
      namespace: 'shop',
      uid: 'a',
      creationTimestamp: created,
      ...metadata,
    },
    spec: {
      nodeName: 'n1',
      hostname: 'redis-0',
      subdomain: 'redis',
      terminationGracePeriodSeconds: grace,
      containers: [
        { name: 'redis', ports: [{ containerPort: 6379 }] },
        { name: 'exporter', ports: [{ containerPort: 9121 }] },
      ],
    },
    status: { phase: 'Running', ...status },
  }
}

const alive = pod({ containerStatuses: [running('2026-03-01T10:00:05Z')] })
const killed = (finishedAt: string) => ({
  name: 'redis',
  restartCount: 1,
  state: { running: { startedAt: '2026-03-01T12:00:03Z' } },
  lastState: { terminated: { finishedAt, exitCode: 137, reason: 'Error' } },
})

test('a container that runs since before proves nothing, and neither does a pod that nobody knows', () => {
  assert.equal(fateOf([{ pod: alive }], question, nowhere), undefined)
  assert.equal(fateOf([], question, nowhere), undefined)
})

test('a container that ended since is proof, before and after it was started again', () => {
  const ended = { finishedAt: '2026-03-01T12:00:00Z', exitCode: 137, reason: 'Error' }
  const dead = pod({ containerStatuses: [{ name: 'redis', state: { terminated: ended } }] })
  assert.match(
    fateOf([{ pod: dead }], question, nowhere) ?? '',
    /^container redis of pod redis-0 ended at/,
  )
  const again = pod({ containerStatuses: [killed('2026-03-01T12:00:00Z')] })
  assert.match(fateOf([{ pod: again }], question, nowhere) ?? '', /exit code 137/)
  const forgotten = pod({ containerStatuses: [running('2026-03-01T12:00:03Z')] })
  assert.match(fateOf([{ pod: forgotten }], question, nowhere) ?? '', /was started again/)
})

test('an end before the process was the primary, or so close that clocks decide, is none of it', () => {
  for (const finishedAt of ['2026-03-01T10:59:58Z', '2026-03-01T11:00:04Z']) {
    const status = { ...killed(finishedAt), state: { running: { startedAt: finishedAt } } }
    assert.equal(
      fateOf([{ pod: pod({ containerStatuses: [status] }) }], question, nowhere),
      undefined,
    )
  }
})

test('another container of the pod proves nothing; where no port tells, each may be the server', () => {
  const other = { ...killed('2026-03-01T12:00:00Z'), name: 'exporter' }
  const both = pod({ containerStatuses: [running('2026-03-01T10:00:05Z'), other] })
  assert.equal(fateOf([{ pod: both }], question, nowhere), undefined)
  assert.equal(fateOf([{ pod: both }], { ...question, port: 7000 }, nowhere), undefined)
})

test('a kubelet that lost sight of a container does not know its end', () => {
  const lost = { name: 'redis', state: { terminated: { exitCode: 137 } } }
  for (const phase of ['Running', 'Failed']) {
    const status = { phase, containerStatuses: [lost] }
    assert.equal(fateOf([{ pod: pod(status) }], question, nowhere), undefined, phase)
  }
})

const terminated = { terminated: { finishedAt: '2026-03-01T12:00:00Z', exitCode: 0 } }
const over = pod({
  phase: 'Succeeded',
  containerStatuses: [{ name: 'redis', state: terminated }],
})

test('a pod that was deleted and ended is proof, and its successor does not matter', () => {
  const removed = { wallMs: nowMs - 5000 }
  const next = pod(
    { containerStatuses: [running('2026-03-01T12:00:06Z')] },
    { uid: 'b', creationTimestamp: '2026-03-01T12:00:05Z' },
  )
  assert.match(fateOf([{ pod: over, removed }, { pod: next }], question, nowhere) ?? '', /ended at/)
  // Alone, it only shows that there was another one before, of which nothing is known.
  assert.equal(fateOf([{ pod: next }], question, nowhere), undefined)
})

test('where any of two pods may have had the process, both must have ended', () => {
  const forced: PodRecord = { pod: alive, removed: { wallMs: sinceMs - 3000 } }
  const young = { uid: 'b', creationTimestamp: '2026-03-01T10:59:58Z' }
  const next = pod({ containerStatuses: [killed('2026-03-01T12:00:00Z')] }, young)
  assert.equal(fateOf([forced, { pod: next }], question, nowhere), undefined)
  assert.equal(fateOf([{ pod: next }], question, nowhere), undefined, 'there was one before it')
  const ended: PodRecord = { ...forced, pod: over }
  assert.match(fateOf([ended, { pod: next }], question, nowhere) ?? '', /exit code 137/)
})

test('the last phase proves nothing that a collector of orphaned pods gave', () => {
  const crashed = { terminated: { finishedAt: '2026-03-01T10:30:00Z', exitCode: 1 } }
  const status = { phase: 'Failed', containerStatuses: [{ name: 'redis', state: crashed }] }
  assert.notEqual(fateOf([{ pod: pod(status) }], question, nowhere), undefined)
  const conditions = [{ type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC' }]
  assert.equal(fateOf([{ pod: pod({ ...status, conditions }) }], question, nowhere), undefined)
})

const node = (ready: string, since: string, taint?: string): SeenNode => ({
  seenMs: nowMs,
  metadata: { name: 'n1' },
  spec: { taints: taint === undefined ? [] : [{ key: taint }] },
  status: { conditions: [{ type: 'Ready', status: ready, lastTransitionTime: since }] },
})

test('a pod deleted by force is proof only once its node has been ready for longer than it may have been deaf', () => {
  const longReady = () => node('True', '2026-03-01T08:00:00Z')
  const goneFor = (ms: number): PodRecord => ({ pod: alive, removed: { wallMs: nowMs - ms } })
  assert.equal(fateOf([goneFor(20_000)], question, longReady), undefined)
  assert.match(fateOf([goneFor(76_000)], question, longReady) ?? '', /node n1 has been ready/)
  assert.equal(fateOf([goneFor(76_000)], question, nowhere), undefined)
  const lost = () => node('Unknown', '2026-03-01T08:00:00Z')
  assert.equal(fateOf([goneFor(600_000)], question, lost), undefined)
  const back = () => node('True', '2026-03-01T11:59:50Z')
  assert.equal(fateOf([goneFor(76_000)], question, back), undefined)
})

test('a node is known to have been ready until it was looked at, not until now', () => {
  const seen = (seenMs: number) => () => ({ ...node('True', '2026-03-01T08:00:00Z'), seenMs })
  const forced: PodRecord = { pod: alive, removed: { wallMs: nowMs - 600_000 } }
  assert.equal(fateOf([forced], question, seen(nowMs - 540_000)), undefined)
  assert.match(fateOf([forced], question, seen(nowMs - 500_000)) ?? '', /has been ready/)
})

test('a node that someone says is out of service takes its pods with it', () => {
  const taint = 'node.kubernetes.io/out-of-service'
  const out = () => node('Unknown', '2026-03-01T11:59:00Z', taint)
  assert.match(fateOf([{ pod: alive }], question, out) ?? '', /out of service/)
  const unreachable = () =>
    node('Unknown', '2026-03-01T11:59:00Z', 'node.kubernetes.io/unreachable')
  assert.equal(fateOf([{ pod: alive }], question, unreachable), undefined)
})

test('the node of a pod that is well is not asked for', () => {
  const ready = pod({ conditions: [{ type: 'Ready', status: 'True' }] })
  assert.equal(needsNode({ pod: ready }), false)
  assert.equal(needsNode({ pod: ready, removed: { wallMs: 0 } }), true)
  assert.equal(needsNode({ pod: alive }), true)
})

test('pods of one name are remembered by their uid, also when a list shows that one is gone', () => {
  const clock: Clock = { monotonicMs: () => 0, wallMs: () => nowMs }
  let changes = 0
  const history = new PodHistory({ clock, onChange: () => (changes += 1) })
  const named = (uid: string) => pod({}, { uid })
  history.replaceAll([named('a')])
  history.remove({ ...over, metadata: { ...over.metadata, uid: 'a' } })
  history.put(named('b'))
  history.replaceAll([named('c')])
  const uids = () =>
    history.records().map((record) => [record.pod.metadata.uid, record.removed !== undefined])
  assert.deepEqual(uids(), [
    ['a', true],
    ['b', true],
    ['c', false],
  ])
  assert.equal(history.records()[0]?.pod.status?.phase, 'Succeeded')
  assert.equal(changes, 5)
  for (let index = 0; index < 10; index += 1) history.put(named(`d${index}`))
  assert.equal(history.records().length, formerPodsMax)
})
