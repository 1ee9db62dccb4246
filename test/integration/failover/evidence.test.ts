/** What a sidecar tells its control plane of the primary, and how soon. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { standaloneConfig } from '../../../common/contract/proxy-config.ts'
import type { SidecarMessage } from '../../../common/contract/stream.ts'
import { freePort, startServer, until } from '../../support/servers.ts'
import { ControlPlane } from '../control/control-plane.ts'
import { serves, startSidecar } from '../control/sidecar-process.ts'
import { connect, encodeCommand } from '../sidecar/harness.ts'

type Report = Extract<SidecarMessage, { kind: 'report' }>

async function scene(t: TestContext, env: Readonly<Record<string, string>> = {}) {
  const redis = await startServer()
  const controlPlane = new ControlPlane()
  await controlPlane.start()
  const state = mkdtempSync(join(tmpdir(), 'respmesh-state-'))
  writeFileSync(join(state, 'token'), 'secret')
  t.after(async () => {
    redis.signal('SIGCONT')
    await controlPlane.end()
    await redis.stop()
    rmSync(state, { recursive: true })
  })
  const port = await freePort()
  const base = standaloneConfig({
    members: [{ host: '127.0.0.1', port: redis.port }],
    listeners: [{ host: '127.0.0.1', port }],
  })
  const runId = await redis.info('run_id')
  controlPlane.config = {
    ...base,
    proxy: { namespace: 'shop', name: 'cache', uid: 'u1' },
    epoch: 5,
    version: 1,
    ...(env['RESPMESH_WORKERS'] !== undefined && { workers: Number(env['RESPMESH_WORKERS']) }),
    upstream: {
      ...base.upstream,
      discovery: 'operator',
      primary: { host: '127.0.0.1', port: redis.port, runId },
    },
  }
  const sidecar = startSidecar(t, '', {
    RESPMESH_STREAM_URL: controlPlane.url,
    RESPMESH_STREAM_TOKEN_FILE: join(state, 'token'),
    RESPMESH_PROXY: 'shop/cache',
    RESPMESH_ADMIN: '127.0.0.1:0',
    ...env,
  })
  await serves(sidecar)
  const reports = () => controlPlane.messages.filter((one): one is Report => one.kind === 'report')
  /** Waits for a report, after the first `skip`, that is as said. */
  const reported = async (what: string, isIt: (report: Report) => boolean, skip = 0) => {
    const find = () => reports().slice(skip).find(isIt)
    await until(what, () => find() !== undefined)
    return find() as Report
  }
  await reported('it sees the primary', ({ primary }) => primary === 'ok')
  return { redis, controlPlane, reports, reported, client: () => connect(t, port) }
}

for (const workers of [undefined, '2']) {
  const env = workers === undefined ? {} : { RESPMESH_WORKERS: workers }
  const whose = workers === undefined ? 'a sidecar' : 'a sidecar of two workers'

  test(`${whose} tells that a primary hangs and that it is back, long before it is given up`, async (t) => {
    const { redis, reports, reported, client } = await scene(t, env)
    const one = await client()
    assert.equal(await one.ask('INCR', 'n'), ':1\r\n')
    redis.signal('SIGSTOP')
    const before = reports().length
    const since = performance.now()
    one.send(encodeCommand(['INCR', 'n']))
    const report = await reported('it hangs', ({ primary }) => primary === 'failing', before)
    const tookMs = performance.now() - since
    t.diagnostic(`told after ${Math.round(tookMs)} ms`)
    assert.ok(tookMs < 1500, `it took ${tookMs} ms`)
    assert.ok((report.heardMsAgo ?? 0) >= 200, `heard ${report.heardMsAgo} ms ago`)
    assert.equal(report.epoch, 5)
    redis.signal('SIGCONT')
    await reported('it is back', ({ primary }) => primary === 'ok', reports().indexOf(report))
    assert.equal(await one.reply(), ':2\r\n')
  })
}

test('a sidecar with nothing to do looks when the control plane has doubts', async (t) => {
  const { redis, controlPlane, reports, reported } = await scene(t)
  const before = reports().length
  controlPlane.send({ kind: 'suspect', epoch: 5, forMs: 5000 })
  const alive = await reported('it is alive', ({ primary }) => primary === 'ok', before)
  assert.ok((alive.heardMsAgo ?? 1000) < 500, `heard ${alive.heardMsAgo} ms ago`)
  redis.signal('SIGSTOP')
  const since = performance.now()
  controlPlane.send({ kind: 'suspect', epoch: 5, forMs: 5000 })
  await reported('it is not', ({ primary }) => primary === 'failing', before)
  const tookMs = performance.now() - since
  t.diagnostic(`told after ${Math.round(tookMs)} ms`)
  assert.ok(tookMs < 2000, `it took ${tookMs} ms`)
})

test('that a primary goes on answering is told again and again, and not where nothing was asked', async (t) => {
  const { reports, client } = await scene(t)
  const one = await client()
  const counted = async (isBusy: boolean) => {
    const before = reports().length
    const since = performance.now()
    await until('some time has passed', async () => {
      if (isBusy) assert.equal(await one.ask('PING'), '+PONG\r\n')
      return performance.now() - since > 2200
    })
    return reports().slice(before)
  }
  const busy = await counted(true)
  assert.ok(busy.length >= 1 && busy.length <= 4, `${busy.length} reports`)
  assert.ok(busy.every(({ primary, heardMsAgo }) => primary === 'ok' && (heardMsAgo ?? 1000) < 500))
  const idle = await counted(false)
  assert.ok(idle.length <= 1, `${idle.length} reports`)
})

test('a process that took the place of the primary does not speak for it', async (t) => {
  const { redis, reports, reported } = await scene(t)
  const before = reports().length
  await redis.kill()
  const gone = await reported('it is gone', ({ primary }) => primary === 'failing', before)
  await redis.restart()
  const skip = reports().indexOf(gone)
  const since = performance.now()
  await until('it has seen the other', () => performance.now() - since > 1500)
  const later = reports().slice(skip)
  assert.ok(later.every(({ primary }) => primary === 'failing'))
  const [first] = later
  const last = later.at(-1)
  assert.ok(last !== undefined && (last.heardMsAgo ?? 0) >= (first?.heardMsAgo ?? 0))
})
