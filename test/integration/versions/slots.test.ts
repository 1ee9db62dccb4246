/** The slot of a key is the one that every version of the servers computes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keySlot } from '../../../common/redis/slots.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { Random } from '../../sim/random.ts'
import { seriesStates } from '../../support/server-versions.ts'
import { startServer } from '../../support/servers.ts'
import { connect } from '../sidecar/harness.ts'

const seed = 1 + Math.floor(Date.now() % 1_000_000)
const keyCount = process.env['RESPMESH_TEST_SIZE'] === 'full' ? 20_000 : 1000
const askedAtOnce = 250

const corners = [
  '',
  '{',
  '}',
  '{}',
  '}{',
  '{}x',
  '{}{a}',
  '{{}',
  '{{}}',
  '{{a}}',
  '{a}{b}',
  'a{b',
  'a}b{c}',
  '{a',
]

for (const state of await seriesStates()) {
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  const name = `${state.name} ${state.series} has a key in the same slot (seed ${seed})`
  test(name, { skip }, async (t) => {
    assert.equal(state.kind, 'found')
    if (state.kind !== 'found') return
    const { program } = state
    const server = await startServer({ program, args: ['--cluster-enabled', 'yes'] })
    t.after(() => server.stop())
    const client = await connect(t, server.port)
    const random = new Random(seed)
    const keys = [...corners, ...Array.from({ length: keyCount }, () => drawKey(random))]
    for (let at = 0; at < keys.length; at += askedAtOnce) {
      const asked = keys.slice(at, at + askedAtOnce)
      client.send(Buffer.concat(asked.map((key) => encodeCommand(['CLUSTER', 'KEYSLOT', key]))))
      const replies = await client.replies(asked.length)
      assert.deepEqual(
        asked.map((key) => `:${slotOf(key)}\r\n`),
        replies,
      )
    }
  })
}

/** In the midst of other bytes, braces among them. */
function slotOf(key: string): number {
  const bytes = Buffer.from(`}${key}}{`, 'latin1')
  return keySlot(bytes, 1, bytes.length - 2)
}

/** Any bytes, and many braces. */
function drawKey(random: Random): string {
  const braces = random.next()
  const draw = () =>
    random.chance(braces) ? random.pick(['{', '}']) : String.fromCharCode(random.below(256))
  return Array.from({ length: random.below(20) }, draw).join('')
}
