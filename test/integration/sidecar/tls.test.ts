/** TLS to the server: the chain and the name are checked before a byte of a client or a password is sent. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { UpstreamTls } from '../../../common/contract/proxy-config.ts'
import { freePort, startServer } from '../../support/servers.ts'
import { configFor, connect, portOf, startPlane, until } from './harness.ts'

/** A server with a certificate of its own for the name `redis.test`, reached by TLS. */
async function startTls(t: TestContext, tls: (certFile: string) => UpstreamTls) {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-tls-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  const [certFile, keyFile] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const subject = ['-subj', '/CN=redis.test', '-addext', 'subjectAltName=DNS:redis.test']
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject]
  execFileSync('openssl', [...request, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' })
  const tlsPort = await freePort()
  const files = [
    '--tls-cert-file',
    certFile,
    '--tls-key-file',
    keyFile,
    '--tls-ca-cert-file',
    certFile,
  ]
  const server = await startServer({
    args: ['--tls-port', String(tlsPort), '--tls-auth-clients', 'no', ...files],
  })
  t.after(() => server.stop())
  const config = configFor(
    { host: '127.0.0.1', port: tlsPort },
    { timing: { holdTimeoutMs: 300 }, upstream: { tls: tls(certFile) } },
  )
  const plane = await startPlane(t, config)
  return { plane, client: await connect(t, portOf(plane)), server }
}

test('commands are carried over TLS to a server whose certificate and name are right', async (t) => {
  const { client, server } = await startTls(t, (caFile) => ({
    verify: true,
    caFile,
    serverName: 'redis.test',
  }))
  assert.equal(await client.ask('SET', 'k', 'v'), '+OK\r\n')
  assert.equal(await server.command('GET', 'k'), '$1\r\nv\r\n')
})

const refused: readonly (readonly [string, (certFile: string) => UpstreamTls])[] = [
  ['an authority that is not trusted', () => ({ verify: true, serverName: 'redis.test' })],
  ['another name', (caFile) => ({ verify: true, caFile, serverName: 'other.test' })],
]
for (const [what, tls] of refused) {
  test(`a server whose certificate has ${what} gets nothing`, async (t) => {
    const { client, plane, server } = await startTls(t, tls)
    assert.match(await client.ask('SET', 'k', 'v'), /^-PROXY RM_HOLD_TIMEOUT /)
    await until('attempts are counted', () => plane.view().counters.upstreamConnectErrors > 0)
    assert.equal(await server.command('EXISTS', 'k'), ':0\r\n')
  })
}
