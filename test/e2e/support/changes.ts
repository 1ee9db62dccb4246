/** Planned changes of the primary on a real cluster, asked for by RedisProxyOperations, under load. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { RedisProxyOperation } from '../../../operator/api/operation.ts'
import { waitFor } from '../../cluster/index.ts'
import { type Writer, median, settled } from './failover.ts'
import type { Figures, Step } from './story.ts'
import type { World } from './world.ts'

interface Change {
  readonly from: string
  readonly to: string
  /** By the records: clients were held no longer. */
  readonly durationMs: number
  /** Between two acknowledged writes, the pod's own pauses included. */
  readonly longestGapMs: number
}

const manifest = (spec: Readonly<Record<string, unknown>>, name?: string) => ({
  apiVersion: 'respmesh.io/v1alpha1',
  kind: 'RedisProxyOperation',
  metadata: name === undefined ? { generateName: 'e2e-' } : { name },
  spec,
})

export async function plannedChanges(
  world: World,
  writer: Writer,
  {
    step,
    figures,
    trials,
  }: { readonly step: Step; readonly figures: Figures; readonly trials: number },
): Promise<void> {
  await step('an operation makes another server the primary, and no write fails', async (t) => {
    const before = await writer.stats()
    const changes: Change[] = []
    for (let index = 0; index < trials; index += 1) {
      changes.push(await change(world, writer, t))
    }
    const after = await writer.stats()
    figures['switchover'] = {
      changes,
      durationP50Ms: median(changes.map(({ durationMs }) => durationMs)),
      longestGapP50Ms: median(changes.map(({ longestGapMs }) => longestGapMs)),
    }
    assert.deepEqual(after.errors, before.errors, 'no write failed')
    assert.equal((await writer.verify()).missingCount, 0)
  })

  await step('kubectl get rpo tells in a line what was asked for and how it went', async () => {
    const lines = await world.app('get rpo --no-headers')
    assert.match(lines, /^e2e-\w+\s+cache\s+Switchover\s+redis-\d\.redis:6379\s+Succeeded\s/m)
    const selected = await world.app('get rpo --field-selector status.phase=Succeeded -o name')
    assert.equal(selected.trim().split('\n').length, trials)
  })

  await step(
    'what cannot be done fails with the reason, and what makes no sense is refused',
    async () => {
      const other = await world.create(
        manifest({ kind: 'Switchover', proxy: 'cache', to: 'other:6379' }),
      )
      const lost = await world.create(manifest({ kind: 'Switchover', proxy: 'nobody' }))
      const ended = await finished(world, other)
      assert.equal(ended.status?.phase, 'Failed')
      assert.match(ended.status?.message ?? '', /other:6379 is not among the endpoints/)
      assert.match((await finished(world, lost)).status?.message ?? '', /no RedisProxy nobody/)
      const refusal = (spec: Readonly<Record<string, unknown>>) =>
        world.refusalOf(manifest(spec, 'bad'), 'redisproxyoperations')
      assert.match(await refusal({ kind: 'Promote', proxy: 'cache' }), /Promote names the server/)
      assert.match(
        await refusal({ kind: 'Switchover', proxy: 'cache', accept: ['DataLoss'] }),
        /accept goes with kind Promote/,
      )
      const patch = `patch rpo ${other} --type=merge -p {"spec":{"proxy":"elsewhere"}}`
      await assert.rejects(world.app(patch), /cannot be changed/)
    },
  )
}

async function change(world: World, writer: Writer, t: TestContext): Promise<Change> {
  await settled(world)
  const { status } = await world.redisProxy()
  const from = status?.primary?.address ?? ''
  const to = status?.members?.find(({ role }) => role === 'replica')?.address ?? ''
  await writer.mark()
  const name = await world.create(manifest({ kind: 'Switchover', proxy: 'cache', to }))
  const ended = await finished(world, name)
  assert.equal(ended.status?.phase, 'Succeeded', ended.status?.message ?? '')
  const acked = (await writer.stats()).acked
  const { longestGapMs } = await waitFor(
    async () => {
      const stats = await writer.stats()
      return stats.acked > acked + 100 && stats
    },
    { what: 'writes to go on', timeoutMs: 30_000 },
  )
  const after = (await world.redisProxy()).status
  assert.equal(after?.primary?.address, to)
  const { durationMs = Number.NaN } = after?.lastFailover ?? {}
  t.diagnostic(`${from} → ${to}: ${durationMs} ms by the records, no write for ${longestGapMs} ms`)
  return { from, to, durationMs, longestGapMs }
}

function finished(world: World, name: string): Promise<RedisProxyOperation> {
  return waitFor(
    async () => {
      const operation = await world.operation(name)
      const { phase } = operation.status ?? {}
      return (phase === 'Succeeded' || phase === 'Failed') && operation
    },
    { what: `the end of operation ${name}`, timeoutMs: 60_000 },
  )
}
