/** A planned change of the primary: what was acknowledged is there afterwards, and what cannot be done is left alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../../support/servers.ts'
import { Writer } from './writer.ts'
import { Rig, isFull, key } from './rig.ts'

const rounds = isFull ? 100 : 10

test('every write that the old primary acknowledged is on the new one', async (context) => {
  const rig = await Rig.start({ count: 3 })
  context.after(() => rig.stop())
  const spans: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    const [old, next] = round % 2 === 0 ? [0, 1] : [1, 0]
    const writers = [1, 2, 3].map((id) => Writer.start(rig.at(old), `${round}:${id}`))
    await until('writes are acknowledged', () => writers.every(({ acked }) => acked > 20))
    const beganMs = performance.now()
    await rig.prober.handOver(key, rig.process(old), { to: rig.process(next), timeoutMs: 5000 })
    spans.push(performance.now() - beganMs)
    await Promise.all(writers.map((writer) => writer.ended()))
    for (const writer of writers) {
      assert.equal(writer.refusal?.split(' ', 1)[0], '-READONLY')
      const reply = await rig.at(next).command('GET', writer.key)
      assert.equal(Number(reply.split('\r\n')[1]), writer.acked)
    }
    assert.equal(await rig.at(next).info('role'), 'master')
    await until('the old primary is a replica', async () => {
      return (
        (await rig
          .at(old)
          .info('master_link_status')
          .catch(() => '')) === 'up'
      )
    })
    await rig.seen()
  }
  spans.sort((a, b) => a - b)
  const at = (share: number) => spans[Math.floor(share * spans.length)]?.toFixed(2)
  context.diagnostic(`${rounds} handovers: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`)
})
