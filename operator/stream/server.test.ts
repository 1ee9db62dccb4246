import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import {
  LineDecoder,
  type ServerMessage,
  serverMessageKinds,
} from '../../common/contract/stream.ts'
import { silentLog } from '../../common/log.ts'
import { until } from '../../test/support/servers.ts'
import { type StreamServerOptions, createStreamServer, sharedTokenAuthentication } from './index.ts'

const modules = { log: silentLog, clock: systemClock }
const config = standaloneConfig({
  members: [{ host: 'a', port: 1 }],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})
const path = '/v1/stream?namespace=shop&name=cache'
const cleanups: (() => Promise<void>)[] = []
after(async () => {
  for (const cleanup of cleanups) await cleanup()
})

async function start(options: Partial<StreamServerOptions> = {}) {
  const server = createStreamServer(
    { authenticate: sharedTokenAuthentication('secret'), ...options },
    modules,
  )
  const { port } = await server.listen({ host: '127.0.0.1', port: 0 })
  cleanups.push(() => server.stop())
  return { server, port, publisher: server.publisher }
}

interface Client {
  readonly request: ClientRequest
  readonly response: IncomingMessage
  next(kind: ServerMessage['kind']): Promise<ServerMessage>
  send(value: unknown): void
  readonly seen: readonly ServerMessage[]
  closed: Promise<unknown>
}

async function connect(port: number, id?: string, at = path, token = 'secret'): Promise<Client> {
  const request = httpRequest({
    host: '127.0.0.1',
    port,
    path: at,
    method: 'POST',
    agent: false,
    headers: { authorization: `Bearer ${token}` },
  })
  request.on('error', () => {})
  request.flushHeaders()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  response.setEncoding('utf8')
  response.on('error', () => {})
  const closed = new Promise((resolve) => response.once('close', resolve))
  const decoder = new LineDecoder<ServerMessage>(serverMessageKinds)
  const seen: ServerMessage[] = []
  let wake = () => {}
  if (response.statusCode === 200) {
    response.on('data', (chunk: string) => {
      seen.push(...decoder.push(chunk))
      wake()
    })
  }
  const send = (value: unknown) => request.write(`${JSON.stringify(value)}\n`)
  if (id !== undefined) send({ kind: 'hello', sidecar: { id, version: '0' } })
  const next = async (kind: ServerMessage['kind']) => {
    for (;;) {
      const message = seen.shift()
      if (message?.kind === kind) return message
      if (message === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  }
  return { request, response, next, seen, send, closed }
}

async function refused(port: number, at: string, token = 'secret') {
  const client = await connect(port, undefined, at, token)
  let body = ''
  client.response.on('data', (chunk: string) => {
    body += chunk
  })
  await client.closed
  return { status: client.response.statusCode, error: JSON.parse(body).error }
}

function changed(publisher: { onChange(listener: (key: string) => void): () => void }) {
  return new Promise<void>((resolve) => {
    const stop = publisher.onChange(() => {
      stop()
      resolve()
    })
  })
}

test('a sidecar gets the current configuration at once and every later one', async () => {
  const { port, publisher } = await start()
  publisher.publish('shop/cache', config)
  const client = await connect(port, 'pod-1')
  assert.deepEqual(await client.next('config'), { kind: 'config', config })
  publisher.publish('shop/cache', { ...config, version: 7 })
  assert.deepEqual(await client.next('config'), {
    kind: 'config',
    config: { ...config, version: 7 },
  })
  client.request.destroy()
})

test('a sidecar may wait for a configuration that is published later', async () => {
  const { port, publisher } = await start()
  const client = await connect(port, 'pod-1')
  publisher.publish('shop/cache', config)
  assert.equal((await client.next('config')).kind, 'config')
  client.request.destroy()
})

test('acknowledgements and reports are shown to the controller', async () => {
  const { port, publisher } = await start()
  publisher.publish('shop/cache', config)
  const client = await connect(port, 'pod-1')
  await client.next('config')
  let change = changed(publisher)
  client.send({ kind: 'ack', version: 3, epoch: 2 })
  await change
  change = changed(publisher)
  client.send({ kind: 'report', primary: 'failing', epoch: 2 })
  await change
  const [view] = publisher.sidecars('shop/cache')
  assert.deepEqual(view?.acked, { version: 3, epoch: 2 })
  assert.equal(view?.primary, 'failing')
  change = changed(publisher)
  client.request.destroy()
  await change
  assert.deepEqual(publisher.sidecars('shop/cache'), [])
})

test('a refused configuration does not count as acknowledged', async () => {
  const { port, publisher } = await start()
  const client = await connect(port, 'pod-1')
  client.send({ kind: 'ack', version: 3, epoch: 2, error: 'no' })
  await changed(publisher)
  while (publisher.sidecars('shop/cache')[0]?.error === undefined) await changed(publisher)
  assert.equal(publisher.sidecars('shop/cache')[0]?.acked, undefined)
  client.request.destroy()
})

test('a handover begins when every sidecar is ready for it, or cannot be waited for', async () => {
  const { port, publisher } = await start()
  const [one, two, three] = await Promise.all(['1', '2', '3'].map((id) => connect(port, id)))
  assert.ok(one && two && three)
  const next = { host: 'b', port: 1, runId: 'r' }
  const { primary: _primary, ...upstream } = config.upstream
  const handover: ProxyConfig = {
    ...config,
    version: 9,
    upstream: { ...upstream, discovery: 'operator', handover: { drainMs: 100, next } },
  }
  const all = [one, two, three]
  publisher.publish('shop/cache', handover)
  await Promise.all(all.map((each) => each.next('config')))
  const { version, epoch } = handover
  const begin = { kind: 'begin', version, epoch }
  one.send({ kind: 'ready', version: 8, epoch })
  one.send({ kind: 'ready', version, epoch })
  const change = changed(publisher)
  two.send({ kind: 'ack', version, epoch, error: 'no' })
  await change
  // What it sends after this comes after what it would have sent before.
  publisher.suspect('shop/cache', epoch, 1)
  const has = (kind: string) => one.seen.some((message) => message.kind === kind)
  await until('it is here', () => has('suspect'))
  assert.equal(has('begin'), false)
  three.request.destroy()
  assert.deepEqual(await one.next('begin'), begin)
  assert.deepEqual(await two.next('begin'), begin)

  const late = await connect(port, '4')
  await late.next('config')
  late.send({ kind: 'ready', version, epoch })
  assert.deepEqual(await late.next('begin'), begin)
  for (const each of [...all, late]) each.request.destroy()
})

test('the same sidecar connecting again replaces its former connection', async () => {
  const { port, publisher } = await start()
  const first = await connect(port, 'pod-1')
  await changed(publisher)
  const second = await connect(port, 'pod-1')
  await first.closed
  assert.equal(publisher.sidecars('shop/cache').length, 1)
  second.request.destroy()
})

test('the identity of the token outranks that of the hello', async () => {
  const { port, publisher } = await start({
    authenticate: async () => ({ ok: true, sidecarId: 'shop/real' }),
  })
  const client = await connect(port, 'shop/pretended')
  publisher.publish('shop/cache', config)
  await client.next('config')
  assert.deepEqual(
    publisher.sidecars('shop/cache').map(({ id }) => id),
    ['shop/real'],
  )
  client.request.destroy()
})

test('refusals say why, in JSON, with their status', async () => {
  const { port } = await start({ isKnown: (key) => key === 'shop/cache' })
  assert.equal((await refused(port, path, 'wrong')).status, 401)
  assert.equal((await refused(port, '/v1/stream?namespace=shop&name=other')).status, 404)
  assert.equal((await refused(port, '/elsewhere')).status, 404)
  assert.equal((await refused(port, '/v1/stream?namespace=UP&name=x')).status, 400)
  const forbidden = await start({ authenticate: async () => ({ ok: false, reason: 'forbidden' }) })
  assert.equal((await refused(forbidden.port, path)).status, 403)
  const away = await start({ isServing: () => false })
  const { status, error } = await refused(away.port, path)
  assert.equal(status, 503)
  assert.equal(error.code, 'RM_STREAM_REFUSED')
})

test('a token that cannot be checked is a 503, and the next sidecar is served', async () => {
  let calls = 0
  const { port } = await start({
    authenticate: async () => {
      calls += 1
      if (calls === 1) throw new Error('API away')
      return { ok: true, sidecarId: 'x' }
    },
  })
  assert.equal((await refused(port, path)).status, 503)
  const client = await connect(port)
  assert.equal(client.response.statusCode, 200)
  client.request.destroy()
})

test('one sidecar more than the limit gets 503', async () => {
  const { port, publisher } = await start({ limits: { clientsMax: 1 } })
  const client = await connect(port, 'pod-1')
  await changed(publisher)
  assert.equal((await refused(port, path)).status, 503)
  client.request.destroy()
})

test('a silent sidecar is cut off, one that pings is not', async () => {
  const { port } = await start({ limits: { pingMs: 20, silenceMaxMs: 1000 } })
  const silent = await connect(port, 'silent')
  const alive = await connect(port, 'alive')
  let isAliveClosed = false
  void alive.closed.then(() => {
    isAliveClosed = true
  })
  const pings = setInterval(() => alive.send({ kind: 'ping' }), 20)
  assert.equal((await silent.next('ping')).kind, 'ping')
  await silent.closed
  assert.equal(isAliveClosed, false)
  clearInterval(pings)
  alive.request.destroy()
})

test('a sidecar that reads too slowly is cut off and the others are served', async () => {
  const { port, publisher } = await start({ limits: { backlogBytesMax: 256 * 1024 } })
  const slow = await connect(port, 'slow')
  slow.response.pause()
  const quick = await connect(port, 'quick')
  while (publisher.sidecars('shop/cache').length < 2) await changed(publisher)
  const big = { ...config, proxy: { ...config.proxy, uid: 'x'.repeat(200_000) } }
  let version = 0
  while (publisher.sidecars('shop/cache').some(({ id }) => id === 'slow')) {
    version += 1
    assert.ok(version < 500, 'the slow sidecar was never cut off')
    publisher.publish('shop/cache', { ...big, version })
    await quick.next('config')
  }
  assert.deepEqual(
    publisher.sidecars('shop/cache').map(({ id }) => id),
    ['quick'],
  )
  quick.request.destroy()
  slow.request.destroy()
})

test('lines that are not messages end that stream only', async () => {
  const { port, publisher } = await start()
  for (const line of [
    'nonsense',
    '{"kind":"order"}',
    '{"kind":"ack"}',
    '{"kind":"hello","sidecar":{"id":""}}',
  ]) {
    const client = await connect(port)
    client.request.write(`${line}\n`)
    await client.closed
  }
  assert.deepEqual(publisher.sidecars('shop/cache'), [])
})

test('withdrawing a key closes its streams and leaves other keys alone', async () => {
  const { port, publisher } = await start()
  const gone = await connect(port, 'a')
  const other = await connect(port, 'b', '/v1/stream?namespace=shop&name=other')
  while (publisher.sidecars('shop/other').length + publisher.sidecars('shop/cache').length < 2)
    await changed(publisher)
  publisher.withdraw('shop/cache')
  await gone.closed
  assert.equal(publisher.sidecars('shop/other').length, 1)
  other.request.destroy()
})

function certificate(name: string) {
  const directory = mkdtempSync(join(tmpdir(), 'stream-test-'))
  const [key, cert] = [join(directory, 'key'), join(directory, 'cert')]
  const options = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'.split(' ')
  execFileSync(
    'openssl',
    ['req', ...options, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert],
    { stdio: 'ignore' },
  )
  const pair = { key: readFileSync(key), cert: readFileSync(cert) }
  rmSync(directory, { recursive: true })
  return pair
}

const skip =
  spawnSync('openssl', ['version']).status === 0 ? false : 'no openssl to make certificates with'

test('over TLS a certificate can be replaced while streams are open', { skip }, async () => {
  const server = createStreamServer({ authenticate: sharedTokenAuthentication('secret') }, modules)
  cleanups.push(() => server.stop())
  const listening = await server.listen({
    host: '127.0.0.1',
    port: 0,
    tls: certificate('first'),
  })
  const nameSeen = async () => {
    const request = httpsRequest({
      host: '127.0.0.1',
      port: listening.port,
      path,
      method: 'POST',
      agent: false,
      rejectUnauthorized: false,
      headers: { authorization: 'Bearer secret' },
    })
    request.on('error', () => {})
    request.flushHeaders()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    assert.equal(response.statusCode, 200)
    const socket = response.socket as TLSSocket
    const name = socket.getPeerCertificate().subject.CN
    return { name, request, response }
  }
  const first = await nameSeen()
  listening.replaceTls(certificate('second'))
  const second = await nameSeen()
  assert.deepEqual([first.name, second.name], ['first', 'second'])
  assert.equal(first.response.destroyed, false)
  first.request.destroy()
  second.request.destroy()
})
