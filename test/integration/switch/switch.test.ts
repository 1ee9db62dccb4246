/** A fleet of clients of every kind over many switches between two servers: 0 errors, 0 lost, 0 double. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { until } from '../../support/servers.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { type Changes, type Site, startSite } from './site.ts'
import { WireClient } from './wire.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
/** No client waits longer than this for a whole switch, on a busy machine either. */
const stallMaxMs = 5000

interface Stall {
  readonly who: string
  readonly ms: number
}

async function scene(t: TestContext, changes: Changes = {}) {
  const site = await startSite(t, changes)
  const fleet = await startFleet(site.port)
  t.after(() => fleet.stop())
  return { site, fleet }
}

/** Waits until every member has done something since. */
async function progress(fleet: Fleet): Promise<void> {
  const before = fleet.members.map(({ doneCount }) => doneCount)
  await until(
    'every client goes on',
    () =>
      fleet.members.every(({ doneCount }, index) => doneCount > (before[index] ?? 0) + 1) ||
      fleet.members.some(({ errors }) => errors.length > 0),
    30_000,
  ).catch((error: unknown) => {
    const stuck = fleet.members.filter(
      ({ doneCount }, index) => doneCount <= (before[index] ?? 0) + 1,
    )
    throw new Error(`${String(error)}: ${stuck.map(({ name }) => name).join(', ')}`)
  })
  assertNoErrors(fleet)
}

function assertNoErrors(fleet: Fleet): void {
  assert.deepEqual(
    fleet.members.flatMap(({ errors }) => errors),
    [],
  )
}

/** The longest wait of any of them since the last look, and who had it. */
function longest(fleet: Fleet): Stall {
  const stalls = fleet.members.map((member) => ({ who: member.name, ms: member.takeLongest() }))
  return stalls.reduce((worst, one) => (one.ms > worst.ms ? one : worst))
}

/** Stops the fleet and compares what it was answered with what the server holds. */
async function audit(t: TestContext, fleet: Fleet, site: Site): Promise<void> {
  await fleet.stop()
  assertNoErrors(fleet)
  const server = new WireClient(site.serving.port, () => {})
  try {
    const wrong = await Promise.all(fleet.audits.map((check) => check(server)))
    assert.deepEqual(
      wrong.filter((what) => what !== ''),
      [],
    )
  } finally {
    server.close()
  }
  const done = fleet.members.reduce((sum, { doneCount }) => sum + doneCount, 0)
  const aborted = fleet.members.reduce((sum, { abortedCount }) => sum + abortedCount, 0)
  t.diagnostic(`${done} steps, ${aborted} transactions aborted as a whole`)
}

function tell(t: TestContext, what: string, stalls: readonly Stall[]): void {
  const sorted = stalls.toSorted((one, other) => one.ms - other.ms)
  const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]
  const [p50, p99, max] = [at(0.5), at(0.99), sorted.at(-1)].map((stall) => stall?.ms.toFixed(0))
  t.diagnostic(
    `${what}: ${stalls.length} times, longest stall p50 ${p50}, p99 ${p99}, max ${max} ms (${sorted.at(-1)?.who})`,
  )
}

for (const [what, cycles, changes] of [
  ['one process', isFull ? 100 : 4, {}],
  ['two workers', isFull ? 20 : 2, { workers: 2 }],
  ['a connection per client', isFull ? 20 : 1, { upstream: { isolation: 'perClient' } }],
] as const) {
  test(`no client notices more than a wait when servers are switched, ${what}`, async (t) => {
    const { site, fleet } = await scene(t, changes)
    const stalls: Stall[] = []
    const spans: Stall[] = []
    for (let cycle = 0; cycle < cycles; cycle += 1) {
      await progress(fleet)
      longest(fleet)
      spans.push({ who: 'whoever switched', ms: await site.switchServers() })
      await progress(fleet)
      stalls.push(longest(fleet))
    }
    await audit(t, fleet, site)
    tell(t, `switches with ${what}`, stalls)
    tell(t, 'from pause to resume', spans)
    assert.ok(stalls.every(({ ms }) => ms < stallMaxMs))
  })
}

test('nobody notices a configuration that cannot be used, and all reasons are told', async (t) => {
  const { site, fleet } = await scene(t)
  await progress(fleet)
  const stalls: Stall[] = []
  const inForce = (await site.sidecar.get('/config')).body
  for (let cycle = 0; cycle < (isFull ? 100 : 4); cycle += 1) {
    longest(fleet)
    const missing = `${site.directory}/missing.pem`
    const broken = site.configFor(site.following, {
      workers: 3,
      listeners: [
        { host: '127.0.0.1', port: site.port },
        { host: '127.0.0.1', port: site.serving.port },
        { host: '127.0.0.1', port: 0, tls: { certFile: missing, keyFile: missing } },
      ],
      upstream: { primary: { host: '127.0.0.1', port: site.following.port } },
    })
    site.write(broken)
    const { ok, error = '' } = await site.command('reload')
    assert.equal(ok, false)
    for (const reason of [
      /workers is 3/,
      new RegExp(`listener 127\\.0\\.0\\.1:${site.serving.port}: .*EADDRINUSE`),
      /missing\.pem cannot be read.*RM_TLS_FILES/,
      /its role is slave.*RM_UPSTREAM_IDENTITY/,
    ]) {
      assert.match(error, reason)
    }
    await progress(fleet)
    stalls.push(longest(fleet))
  }
  assert.equal((await site.sidecar.get('/config')).body, inForce)
  await audit(t, fleet, site)
  tell(t, 'rejected configurations', stalls)
})
