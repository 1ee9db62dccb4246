/** TLS from the clients: who gets in, who does not, and that a session is the same behind it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls'
import type { Listener } from '../../../common/contract/proxy-config.ts'
import { tlsHandshakeMs } from '../../../common/limits.ts'
import { clientFiles, createAuthority, replaceFile } from '../../support/certificates.ts'
import { freePort } from '../../support/servers.ts'
import {
  Client,
  configFor,
  connect,
  encodeCommand,
  startPlane,
  startRig,
  until,
} from './harness.ts'

const options = { timeout: 60_000 }

async function startTls(t: TestContext, tls: Partial<Listener['tls'] & {}> = {}) {
  const authority = createAuthority(t)
  const server = authority.issue('app.test')
  const port = await freePort()
  const withCa = tls.clientCertificate === undefined ? {} : { clientCaFile: authority.caFile }
  const rig = await startRig(t, {
    listeners: [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port, tls: { ...server, ...withCa, ...tls } },
      { unixPath: join(authority.directory, 'app.sock') },
    ],
  })
  const open = (more: ConnectionOptions = {}) =>
    openTls(t, { port, ...clientFiles(authority.caFile), ...more })
  return { rig, port, authority, server, open }
}

/** @throws Error why the handshake failed, or the connection ended right after it */
async function openTls(
  t: TestContext,
  settings: ConnectionOptions,
): Promise<{ client: Client; socket: TLSSocket }> {
  const socket = connectTls({ host: '127.0.0.1', ...settings })
  socket.allowHalfOpen = true
  t.after(() => socket.destroy())
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('secureConnect', resolve).once('error', reject)
  await promise
  return { client: new Client(socket), socket }
}

/** A client that only counts what comes. */
async function openReader(open: () => Promise<{ readonly socket: TLSSocket }>) {
  const { socket } = await open()
  let byteCount = 0
  let last = ''
  socket.removeAllListeners('data').on('data', (chunk: Buffer) => {
    byteCount += chunk.length
    last = (last + chunk.toString('latin1', Math.max(0, chunk.length - 7))).slice(-7)
  })
  return { socket, byteCount: () => byteCount, last: () => last }
}

/** Whether a command is answered over a connection that these settings open. */
async function isServed(t: TestContext, settings: ConnectionOptions): Promise<boolean> {
  try {
    const { client } = await openTls(t, settings)
    return (await client.ask('PING')) === '+PONG\r\n'
  } catch {
    return false
  }
}

test('TCP, TLS and a unix socket serve at once; TLS 1.2 and 1.3 only', options, async (t) => {
  const { rig, port, authority, open } = await startTls(t)
  const { client, socket } = await open()
  assert.equal(socket.getProtocol(), 'TLSv1.3')
  assert.equal(await client.ask('SET', 'k', 'v'), '+OK\r\n')
  assert.equal(await (await rig.client()).ask('GET', 'k'), '$1\r\nv\r\n')
  const local = await connect(t, join(authority.directory, 'app.sock'))
  assert.equal(await local.ask('GET', 'k'), '$1\r\nv\r\n')
  assert.equal((await open({ maxVersion: 'TLSv1.2' })).socket.getProtocol(), 'TLSv1.2')
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    const old = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' } as const
    await assert.rejects(open(old), /PROTOCOL_VERSION|protocol version|alert/i, version)
  }
  assert.ok(await isServed(t, { port, ...clientFiles(authority.caFile), servername: '' }))
  assert.equal(rig.plane.view().counters.tlsHandshakeErrors, 2)
})

test(
  'plain bytes to a TLS port, and a TLS hello to a plain port, are cut and counted',
  options,
  async (t) => {
    const { rig, port } = await startTls(t)
    const { counters } = rig.plane.view()
    for (const bytes of [
      'PING\r\n',
      encodeCommand(['PING']),
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\0\0\0\0\0\0\0\0',
    ]) {
      const before = counters.protocolErrors
      const client = await connect(t, port)
      client.send(bytes)
      await until('the connection is cut', () => client.isClosed, 3000)
      await until('it is counted', () => counters.protocolErrors === before + 1, 3000)
      assert.doesNotMatch(client.text(), /PONG|OK/)
    }
    assert.equal(counters.tlsHandshakeErrors, 4)
    await assert.rejects(openTls(t, { port: rig.port }))
    await until('it is counted', () => counters.protocolErrors === 5, 3000)
    assert.equal(rig.plane.view().clients, 0)
  },
)

test('certificates of clients are not asked for without an authority of theirs', async (t) => {
  const { server, rig } = await startTls(t)
  for (const clientCertificate of ['optional', 'required'] as const) {
    const listeners = [{ host: '127.0.0.1', port: 0, tls: { ...server, clientCertificate } }]
    await assert.rejects(startPlane(t, configFor(rig.server, { listeners })), {
      code: 'RM_CONFIG_INVALID',
      message: /give tls\.clientCaFile/,
    })
  }
})

test('a client that wants to renegotiate is refused', options, async (t) => {
  const { port, open } = await startTls(t)
  const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2']
  const client = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] })
  t.after(() => client.kill('SIGKILL'))
  let said = ''
  for (const output of [client.stdout, client.stderr]) {
    output.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
    })
  }
  await until('the handshake is done', () => said.includes('Verify return code'))
  // A line that is a single R makes this client ask for a new handshake.
  for (let index = 0; index < 4; index += 1) client.stdin.write('R\n')
  await until('it is refused', () => /no renegotiation/i.test(said))
  assert.equal(await (await open()).client.ask('PING'), '+PONG\r\n')
})

test('certificates of clients are asked for as the listener says', options, async (t) => {
  for (const clientCertificate of ['none', 'optional', 'required'] as const) {
    const { rig, port, authority } = await startTls(t, { clientCertificate })
    const stranger = createAuthority(t, 'Another authority').issue('client')
    const own = authority.issue('client')
    const base = { port, ca: clientFiles(authority.caFile).ca }
    const served = {
      without: await isServed(t, base),
      own: await isServed(t, { ...base, ...clientFiles(authority.caFile, own) }),
      other: await isServed(t, { ...base, ...clientFiles(authority.caFile, stranger) }),
      otherOld: await isServed(t, {
        ...base,
        ...clientFiles(authority.caFile, stranger),
        maxVersion: 'TLSv1.2',
      }),
    }
    const expected = {
      none: { without: true, own: true, other: true, otherOld: true },
      optional: { without: true, own: true, other: false, otherOld: false },
      required: { without: false, own: true, other: false, otherOld: false },
    }
    assert.deepEqual(served, expected[clientCertificate], clientCertificate)
    const refusals = Object.values(served).filter((isServed) => !isServed).length
    await until(
      'refusals are counted',
      () => rig.plane.view().counters.tlsHandshakeErrors === refusals,
      3000,
    )
  }
})

test('a handshake that stops is cut after its time, others go on', options, async (t) => {
  const { rig, port, open } = await startTls(t)
  const silent = [createConnection(port, '127.0.0.1'), createConnection(port, '127.0.0.1')]
  const ended = silent.map((socket) => {
    t.after(() => socket.destroy())
    return new Promise<number>((resolve) => {
      const start = performance.now()
      socket.on('error', () => {}).once('close', () => resolve(performance.now() - start))
    })
  })
  // One says nothing at all, the other begins a hello and stops.
  silent[1]?.write(Buffer.from('16030100c80100', 'hex'))
  const { client } = await open()
  assert.equal(await client.ask('PING'), '+PONG\r\n')
  for (const ms of await Promise.all(ended)) {
    assert.ok(ms > tlsHandshakeMs - 500 && ms < tlsHandshakeMs + 5000, `cut after ${ms} ms`)
  }
  assert.equal(rig.plane.view().counters.tlsHandshakeErrors, 2)
})

test(
  'behind TLS a session takes single bytes, large values, many commands and a closed side',
  options,
  async (t) => {
    const { open } = await startTls(t)
    const { client, socket } = await open()
    socket.setNoDelay(true)
    for (const byte of encodeCommand(['SET', 'slow', 'x'])) {
      await new Promise((resolve) => socket.write(byte, resolve))
    }
    assert.equal(await client.reply(), '+OK\r\n')

    const large = 'v'.repeat(20 << 20)
    assert.equal(await client.ask('SET', 'large', large), '+OK\r\n')
    const reader = await openReader(open)
    reader.socket.write(encodeCommand(['GET', 'large']).repeat(2) + encodeCommand(['PING']))
    const length = `$${large.length}\r\n`.length + large.length + 2
    await until('all comes', () => reader.byteCount() === 2 * length + '+PONG\r\n'.length, 30_000)
    assert.equal(reader.last(), '+PONG\r\n')

    const other = await open()
    other.socket.end(encodeCommand(['INCR', 'n']).repeat(5000))
    const text = await other.client.rest()
    assert.equal(text.split('\r\n').at(-2), ':5000')
  },
)

test('a client that does not read is paused, and the server with it', options, async (t) => {
  const { rig, open } = await startTls(t)
  const direct = await rig.direct()
  await direct.ask('SET', 'large', 'v'.repeat(8 << 20))
  const { counters } = rig.plane.view()
  const reader = await openReader(open)
  reader.socket.pause()
  const readBefore = counters.upstreamBytesRead
  reader.socket.write(encodeCommand(['GET', 'large']).repeat(20))
  await until('replies begin', () => counters.upstreamBytesRead - readBefore > 1 << 20)
  const bystander = await rig.client()
  for (let index = 0; index < 50; index += 1) await bystander.ask('PING')
  assert.ok(counters.upstreamBytesRead - readBefore < 60 << 20, 'everything was read for nobody')
  reader.socket.resume()
  await until('the rest comes', () => reader.byteCount() > 20 * (8 << 20), 30_000)
})

test(
  'a changed certificate is shown to new clients, a broken one is not used',
  options,
  async (t) => {
    const { rig, authority, server, open } = await startTls(t)
    const shown = async () => (await open()).socket.getPeerCertificate().subject.CN
    const first = await open()
    assert.equal(await shown(), 'app.test')
    const { counters } = rig.plane.view()
    writeFileSync(server.certFile, 'no certificate')
    await until('the failure is counted', () => counters.fileReloadErrors === 1)
    assert.equal(rig.plane.view().staleFiles, 1)
    assert.equal(await shown(), 'app.test')

    const next = authority.issue('next.test')
    replaceFile(next.certFile, server.certFile)
    // A certificate with the key of another is not used either.
    await until('the failure is counted', () => counters.fileReloadErrors === 2)
    assert.equal(await shown(), 'app.test')
    replaceFile(next.keyFile, server.keyFile)
    await until('the new certificate is shown', async () => (await shown()) === 'next.test')
    assert.deepEqual([counters.fileReloads, rig.plane.view().staleFiles], [1, 0])
    assert.equal(await first.client.ask('PING'), '+PONG\r\n')
    rmSync(server.keyFile)
    await until('it is missed', () => rig.plane.view().staleFiles === 1)
    assert.equal(await shown(), 'next.test')
  },
)

test('a listener goes over to TLS by a new configuration; its clients stay', options, async (t) => {
  const { rig, port, authority, server } = await startTls(t)
  const before = await openTls(t, { port, ...clientFiles(authority.caFile) })
  const tcp = { host: '127.0.0.1', port }
  const apply = (listener: Listener, version: number) =>
    rig.plane.apply(configFor(rig.server, { listeners: [listener], version }))
  await apply(tcp, 1)
  assert.equal(await (await connect(t, port)).ask('PING'), '+PONG\r\n', 'plain')
  assert.equal(await before.client.ask('PING'), '+PONG\r\n')
  await apply({ ...tcp, tls: server }, 2)
  assert.ok(await isServed(t, { port, ...clientFiles(authority.caFile) }))
})

test(
  'a certificate that is not there yet keeps nobody else from being served',
  options,
  async (t) => {
    const authority = createAuthority(t)
    const files = authority.issue('app.test')
    const later = { certFile: `${files.certFile}.later`, keyFile: files.keyFile }
    const port = await freePort()
    const secure = { host: '127.0.0.1', port, tls: later }
    const { plane } = await startRig(t, {
      listeners: [secure, { host: '127.0.0.1', port: 0 }],
    })
    assert.equal(plane.addresses().length, 1)
    const plain = await connect(t, Number(plane.addresses()[0]?.split(':').at(-1)))
    assert.equal(await plain.ask('PING'), '+PONG\r\n')
    copyFileSync(files.certFile, later.certFile)
    const settings = { port, ...clientFiles(authority.caFile) }
    await until('the TLS listener is open', () => plane.addresses().length === 2)
    assert.ok(await isServed(t, settings))
  },
)
