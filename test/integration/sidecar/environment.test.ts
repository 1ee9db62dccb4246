/** A sidecar that is told everything by variables: one start for each group of them. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { ProxyConfig } from '../../../common/contract/proxy-config.ts'
import { clientFiles, createAuthority } from '../../support/certificates.ts'
import { freePort, startServer } from '../../support/servers.ts'
import { type SidecarProcess, ask, serves, startSidecar } from '../control/sidecar-process.ts'
import { Client, connect } from './harness.ts'

const options = { timeout: 60_000 }

/** A sidecar that has no argument at all. */
function startWith(t: TestContext, env: Readonly<Record<string, string>>): SidecarProcess {
  return startSidecar(t, '', { RESPMESH_ADMIN: '127.0.0.1:0', ...env })
}

async function configOf(sidecar: SidecarProcess): Promise<ProxyConfig> {
  return JSON.parse((await sidecar.get('/config')).body) as ProxyConfig
}

async function startPlain(t: TestContext, args: readonly string[] = []) {
  const server = await startServer({ args })
  t.after(() => server.stop())
  return server
}

test('servers, listeners and TLS to clients', options, async (t) => {
  const server = await startPlain(t)
  const authority = createAuthority(t)
  const { certFile, keyFile } = authority.issue('app.test')
  const [port, path] = [await freePort(), join(authority.directory, 'app.sock')]
  const sidecar = startWith(t, {
    RESPMESH_UPSTREAM: `valkey://127.0.0.1:${server.port}/0`,
    RESPMESH_LISTEN: '127.0.0.1:0',
    RESPMESH_LISTEN_TLS: `127.0.0.1:${port}`,
    RESPMESH_LISTEN_TLS_CERT_FILE: certFile,
    RESPMESH_LISTEN_TLS_KEY_FILE: keyFile,
    RESPMESH_LISTEN_TLS_CLIENT_CERTIFICATE: 'required',
    RESPMESH_LISTEN_TLS_CLIENT_CA_FILE: authority.caFile,
    RESPMESH_UNIX: `${path},@respmesh-env-${process.pid}`,
    RESPMESH_LOG_LEVEL: 'info',
  })
  await serves(sidecar)
  for (const target of [path, `\0respmesh-env-${process.pid}`]) {
    assert.equal(await (await connect(t, target)).ask('GET', 'respmesh:test'), '$1\r\n1\r\n')
  }
  const files = clientFiles(authority.caFile, authority.issue('client'))
  const socket = connectTls({ host: '127.0.0.1', port, ...files })
  t.after(() => socket.destroy())
  assert.equal(await new Client(socket).ask('GET', 'respmesh:test'), '$1\r\n1\r\n')
  // What a client of a TLS port that is not one gets is in the log, and no key or password.
  await assert.rejects(ask({ host: '127.0.0.1', port }, ['PING']))
  const line = await sidecar.logged('a TLS handshake of a client failed')
  assert.deepEqual([line['client'], line['reason']], ['127.0.0.1', 'ERR_SSL_WRONG_VERSION_NUMBER'])
  assert.match((await sidecar.get('/metrics')).body, /^respmesh_client_tls_errors_total 1$/m)
})

test('a unix socket as server, TLS to a server with a client certificate', options, async (t) => {
  const authority = createAuthority(t)
  const cert = authority.issue('redis.test')
  const own = authority.issue('sidecar')
  const port = await freePort()
  const tls = `--tls-port ${port} --tls-cert-file ${cert.certFile} --tls-key-file ${cert.keyFile} --tls-ca-cert-file ${authority.caFile}`
  const server = await startPlain(t, tls.split(' '))
  const local = startWith(t, {
    RESPMESH_UPSTREAM: `unix://${server.unixPath}?db=0`,
    RESPMESH_LISTEN: '127.0.0.1:0',
  })
  await serves(local)
  assert.deepEqual((await configOf(local)).upstream.members, [
    { host: server.unixPath, port: 0, role: 'primary' },
  ])
  const remote = startWith(t, {
    RESPMESH_UPSTREAM: `rediss://127.0.0.1:${port}`,
    RESPMESH_UPSTREAM_TLS_CA_FILE: authority.caFile,
    RESPMESH_UPSTREAM_TLS_SERVER_NAME: 'redis.test',
    RESPMESH_UPSTREAM_TLS_VERIFY: 'true',
    RESPMESH_UPSTREAM_TLS_CERT_FILE: own.certFile,
    RESPMESH_UPSTREAM_TLS_KEY_FILE: own.keyFile,
    RESPMESH_LISTEN: '127.0.0.1:0',
  })
  await serves(remote)
})

test('users and passwords of both sides', options, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-env-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(join(directory, 'users'))
  const put = (name: string, content: string) => {
    writeFileSync(join(directory, name), content)
    return join(directory, name)
  }
  put('users/anna', 'of anna\n')
  put('users/bert', 'of bert')
  put('users/.hidden', 'x')
  const server = await startPlain(t, ['--user', 'app', 'on', '>upstream', '~*', '&*', '+@all'])
  await server.command('ACL', 'SETUSER', 'default', 'off')
  const sidecar = startWith(t, {
    RESPMESH_UPSTREAM: `127.0.0.1:${server.port}`,
    RESPMESH_UPSTREAM_USERNAME_FILE: put('name', 'app'),
    RESPMESH_UPSTREAM_PASSWORD_FILE: put('password', 'upstream'),
    RESPMESH_CLIENT_PASSWORD: 'of default',
    RESPMESH_CLIENT_USERS_DIR: join(directory, 'users'),
    RESPMESH_LISTEN: '127.0.0.1:0',
  })
  const port = await sidecar.port()
  for (const login of [['of default'], ['anna', 'of anna'], ['bert', 'of bert']]) {
    const client = await connect(t, port)
    assert.equal(await client.ask('AUTH', ...login), '+OK\r\n')
    assert.equal(await client.ask('ACL', 'WHOAMI'), '$3\r\napp\r\n')
  }
  const client = await connect(t, port)
  for (const login of [['bert', 'of anna'], ['.hidden', 'x'], ['upstream']]) {
    assert.match(await client.ask('AUTH', ...login), /^-WRONGPASS/)
  }
  const { body } = await sidecar.get('/config')
  assert.doesNotMatch(body + JSON.stringify(sidecar.log), /of (anna|bert|default)|"upstream"\}/)
})

test('timeouts, bounds, isolation and commands', options, async (t) => {
  const server = await startPlain(t)
  const sidecar = startWith(t, {
    RESPMESH_UPSTREAM: `redis://127.0.0.1:${server.port}`,
    RESPMESH_LISTEN: '127.0.0.1:0',
    RESPMESH_CONNECT_TIMEOUT_MS: '900',
    RESPMESH_HOLD_TIMEOUT_MS: '250',
    RESPMESH_REPLY_TIMEOUT_MS: '3000',
    RESPMESH_DRAIN_TIMEOUT_MS: '500',
    RESPMESH_QUEUE_TIMEOUT_MS: '700',
    RESPMESH_CLIENT_IDLE_TIMEOUT_MS: '600000',
    RESPMESH_CLIENTS_MAX: '2',
    RESPMESH_ARGUMENT_BYTES_MAX: '2048',
    RESPMESH_CLIENT_IN_FLIGHT_BYTES_MAX: '65536',
    RESPMESH_CLIENT_OUTPUT_BYTES_MAX: '65536',
    RESPMESH_UPSTREAM_QUEUE_BYTES_MAX: '1000000',
    RESPMESH_UPSTREAM_QUEUE_COMMANDS_MAX: '5000',
    RESPMESH_MEMORY_BYTES_MAX: '500000000',
    RESPMESH_UPSTREAM_CONNECTIONS_MAX: '2',
    RESPMESH_WORKERS: '1',
    RESPMESH_ISOLATION: 'perClient',
    RESPMESH_COMMANDS_ALLOW: 'config|set',
    RESPMESH_COMMANDS_DENY: 'keys',
  })
  await serves(sidecar)
  const { timing, limits, upstream, workers } = await configOf(sidecar)
  assert.deepEqual(
    [Object.values(timing), Object.values(limits)].map((values) => values.toSorted()),
    [
      [250, 3000, 500, 600_000, 700, 900].toSorted(),
      [2, 2048, 65_536, 65_536, 1_000_000, 5000, 500_000_000].toSorted(),
    ],
  )
  assert.deepEqual([upstream.connectionsMax, upstream.isolation, workers], [2, 'perClient', 1])
  const port = await sidecar.port()
  const one = await connect(t, port)
  assert.match(await one.ask('KEYS', '*'), /^-NOPERM/)
  assert.equal(await one.ask('CONFIG', 'SET', 'maxmemory-samples', '5'), '+OK\r\n')
  assert.match(await one.ask('SET', 'k', 'v'.repeat(2049)), /^-ERR Protocol error/)
  await server.kill()
  const two = await connect(t, port)
  const start = performance.now()
  assert.match(await two.ask('GET', 'k'), /^-PROXY RM_/)
  assert.ok(performance.now() - start < 4000)
})

test('everything that is wrong is said at once, with exit code 2', options, async (t) => {
  const sidecar = startWith(t, {
    RESPMESH_UPSTREAM: 'redis://me:hunter2@db/3',
    RESPMESH_LISTEN_TLS: '127.0.0.1:1',
    RESPMESH_UNIX: 'here',
    RESPMESH_WORKERS: 'many',
    RESPMESH_ISOLATION: 'alone',
  })
  assert.equal(await sidecar.ended, 2)
  const { stderr } = sidecar.output
  for (const name of ['UPSTREAM', 'LISTEN_TLS_CERT_FILE', 'UNIX', 'WORKERS', 'ISOLATION']) {
    assert.match(stderr, new RegExp(`RESPMESH_${name} is`))
  }
  assert.doesNotMatch(stderr, /hunter2/)
})
