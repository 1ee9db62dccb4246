/** A few histories of random faults; `npm run faults` runs as many as one likes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runHistory } from './history.ts'
import { until } from '../support/servers.ts'
import { Lab, namespaceObstacle, serverPort } from './lab/index.ts'
import { historyLine } from './report.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const histories = isFull ? 20 : 2
const durationMs = isFull ? { min: 8000, max: 20_000 } : { min: 4000, max: 6000 }
const obstacle = namespaceObstacle()
const skip = obstacle === undefined ? false : `histories of faults cannot be run: ${obstacle}`

for (const mode of ['async', 'confirmed'] as const) {
  for (let seed = 1; seed <= histories; seed += 1) {
    test(`faults at random cost nothing that was promised (${mode}, seed ${seed})`, {
      skip,
    }, async (t) => {
      const result = await runHistory({ seed, mode, durationMs })
      t.diagnostic(historyLine(result))
      assert.deepEqual(result.problems, [], historyLine(result))
      assert.ok(result.acknowledged > 0)
    })
  }
}

test('a lab parts whom it is told to part, one way or both, and heals', { skip }, async (t) => {
  const lab = await Lab.start({ servers: 2, sidecars: 1, data: 'memory' })
  t.after(() => lab.stop())
  const [first, second] = lab.servers
  const from = first?.name ?? ''
  const to = second?.name ?? ''
  const reaches = async (node: string, host = '') => {
    const connect = ['-c', `exec 3<>/dev/tcp/${host}/${serverPort}`]
    const asked = lab.network.namespaceOf(node).run('timeout', ['0.3', 'bash', ...connect])
    return asked.then(
      () => true,
      () => false,
    )
  }
  const reached = () => until('it is reached', () => reaches(from, second?.host))
  await reached()
  const restore = await lab.network.partPort(from, to, serverPort)
  assert.equal(await reaches(from, second?.host), false)
  assert.equal(await reaches(to, first?.host), true)
  await restore()
  await reached()
  await lab.network.unplug(to)
  assert.equal(await reaches(from, second?.host), false)
  await lab.network.heal()
  await reached()
})
