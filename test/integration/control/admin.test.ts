import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { networkInterfaces } from 'node:os'
import { type TestContext, test } from 'node:test'
import { adminBodyBytesMax, adminRequestTimeoutMs } from '../../../common/limits.ts'
import { freePort, startServer, until } from '../../support/servers.ts'
import { serves, startSidecar } from './sidecar-process.ts'

async function scene(context: TestContext) {
  const redis = await startServer()
  context.after(() => redis.stop())
  const admin = await freePort()
  const sidecar = startSidecar(
    context,
    `--upstream 127.0.0.1:${redis.port} --listen 127.0.0.1:0 --admin 0.0.0.0:${admin}`,
  )
  await serves(sidecar)
  return { redis, sidecar, admin }
}

interface Asked {
  readonly host?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

function ask(port: number, path: string, asked: Asked = {}) {
  const { host = '127.0.0.1', method = 'POST', headers = {}, body } = asked
  return new Promise<{ status: number; body: string }>((resolve, reject) => {
    const sent = request({ host, port, path, method, headers, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const form = { 'content-type': 'application/x-www-form-urlencoded' }

test('pause holds commands and unpause lets them through, by path and by form', async (context) => {
  const { sidecar, admin } = await scene(context)
  const byPath = (name: string) => ask(admin, `/${name}`)
  const byForm = (name: string) => ask(admin, '/cmd/', { headers: form, body: `cmd=${name}` })
  for (const command of [byPath, byForm]) {
    assert.deepEqual(JSON.parse((await command('pause')).body), { ok: true })
    const held = sidecar.ask('GET', 'respmesh:test')
    await until('the command is held', async () =>
      (await sidecar.get('/metrics')).body.includes('respmesh_commands_held 1'),
    )
    assert.equal(
      (JSON.parse((await sidecar.get('/status')).body) as { isPaused: boolean }).isPaused,
      true,
    )
    assert.equal((await sidecar.get('/readyz')).status, 200)
    assert.deepEqual(JSON.parse((await command('unpause')).body), { ok: true })
    assert.equal(await held, '1')
  }
  const unknown = await byForm('explode')
  assert.equal(unknown.status, 400)
  assert.match(unknown.body, /"ok": ?false.*not a command/s)
})

test('only loopback may change something; everybody may read', async (context) => {
  const { admin } = await scene(context)
  const own = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal)
  if (own === undefined) return context.skip('this machine has no address besides loopback')
  assert.equal((await ask(admin, '/readyz', { host: own.address, method: 'GET' })).status, 200)
  for (const path of ['/pause', '/unpause', '/cmd/', '/reload']) {
    const refused = await ask(admin, path, { host: own.address, headers: { host: 'localhost' } })
    assert.equal(refused.status, 403)
    assert.match(refused.body, /same machine or pod/)
  }
})

test('a web page cannot change anything, neither by rebinding a name nor by a form', async (context) => {
  const { admin } = await scene(context)
  const asks: readonly Asked[] = [
    { headers: { host: 'evil.example' } },
    { headers: { origin: 'http://evil.example' } },
    { headers: { origin: 'null' } },
    { headers: { 'sec-fetch-site': 'cross-site' } },
  ]
  for (const asked of asks) {
    assert.equal((await ask(admin, '/pause', asked)).status, 403, JSON.stringify(asked))
  }
  assert.equal(
    (await ask(admin, '/unpause', { headers: { host: `localhost:${admin}` } })).status,
    200,
  )
})

test('wrong methods, paths and sizes are refused', async (context) => {
  const { admin } = await scene(context)
  assert.equal((await ask(admin, '/pause', { method: 'GET' })).status, 405)
  assert.equal((await ask(admin, '/status')).status, 405)
  assert.equal((await ask(admin, '/etc/passwd', { method: 'GET' })).status, 404)
  assert.equal((await ask(admin, '/constructor')).status, 404)
  const body = `cmd=${'x'.repeat(adminBodyBytesMax)}`
  assert.equal((await ask(admin, '/cmd/', { headers: form, body })).status, 413)
})

test('a request that does not end is cut off', async (context) => {
  const { admin, sidecar } = await scene(context)
  const socket = connect(admin, '127.0.0.1')
  context.after(() => socket.destroy())
  let isClosed = false
  socket.on('close', () => {
    isClosed = true
  })
  socket.resume().on('error', () => {})
  socket.write('POST /cmd/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\ncmd')
  await until('the connection is closed', () => isClosed, adminRequestTimeoutMs * 3)
  assert.equal((await sidecar.get('/livez')).status, 200)
})

test('the metrics count what went through, and the page shows it', async (context) => {
  const { sidecar, redis } = await scene(context)
  const metric = async (name: string) =>
    Number(new RegExp(`^${name} (\\S+)$`, 'm').exec((await sidecar.get('/metrics')).body)?.[1])
  const before = await metric('respmesh_commands_total')
  await sidecar.ask('GET', 'respmesh:test')
  assert.equal((await metric('respmesh_commands_total')) - before, 1)
  assert.ok((await metric('respmesh_process_resident_memory_bytes')) > 1e6)
  const page = await sidecar.get('/')
  assert.match(page.body, new RegExp(`127\\.0\\.0\\.1:${redis.port}`))
})

test('readiness does not follow Redis, the view of the primary does', async (context) => {
  const { sidecar, redis } = await scene(context)
  await redis.kill()
  await until('the primary is not seen as ok', async () =>
    (await sidecar.get('/metrics')).body.includes('respmesh_primary_state{state="ok"} 0'),
  )
  assert.equal((await sidecar.get('/readyz')).status, 200)
  await redis.restart()
  await serves(sidecar)
})
