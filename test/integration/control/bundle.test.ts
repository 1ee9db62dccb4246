import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { startServer, until } from '../../support/servers.ts'
import { fromBundle, serves, startSidecar } from './sidecar-process.ts'

/**
 * What every pod pays for a sidecar at rest: 62 MiB, and 69 where V8 happened to optimise something at start in a
 * thread beside, whose memory stays. The bound leaves room for another kernel, not for another library.
 */
const residentBytesMax = 76 * 1024 * 1024

const skip = existsSync(fromBundle) ? false : 'there is no bundle; npm run bundle makes it'

test('the bundled sidecar serves, shows its metrics and stays within its memory', {
  skip,
}, async (context) => {
  const redis = await startServer()
  context.after(() => redis.stop())
  const sidecar = startSidecar(
    context,
    `--upstream 127.0.0.1:${redis.port} --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
    {},
    fromBundle,
  )
  await serves(sidecar)
  await until('it is started', async () => (await sidecar.get('/startz')).status === 200)
  const metrics = await sidecar.get('/metrics')
  assert.match(metrics.body, /^respmesh_commands_total [1-9]/m)
  const status = `/proc/${sidecar.pid}/status`
  if (!existsSync(status)) return
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(status, 'utf8'))?.[1])
  context.diagnostic(`resident memory: ${(kilobytes / 1024).toFixed(1)} MiB`)
  assert.ok(kilobytes * 1024 <= residentBytesMax, `${kilobytes} KiB`)
  sidecar.signal('SIGTERM')
  assert.equal(await sidecar.ended, 0)
})
