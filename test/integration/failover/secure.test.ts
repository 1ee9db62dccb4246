/** The controller against servers that ask for TLS, client certificates and an ACL user of its own. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { type Authority, createAuthority } from '../../support/certificates.ts'
import { type RedisServer, freePort, startServer } from '../../support/servers.ts'
import { Harness } from './harness.ts'

/** All that the controller sends. */
const adminUser = [
  '--user',
  'respmesh',
  'on',
  '>geheim',
  '-@all',
  '+info',
  '+replicaof',
  '+slaveof',
]

interface SecureSet {
  readonly authority: Authority
  readonly servers: readonly RedisServer[]
  readonly ports: readonly number[]
}

/** A primary and a replica that talk TLS to everyone, to each other too; the plain port is the test's own. */
async function secureServers(t: TestContext): Promise<SecureSet> {
  const authority = createAuthority(t)
  const { certFile, keyFile } = authority.issue('redis.test')
  const ports = [await freePort(), await freePort()]
  const start = (index: number, replicaOf?: { readonly host: string; readonly port: number }) =>
    startServer({
      password: 'default',
      ...(replicaOf && { replicaOf }),
      args: [
        ['--tls-port', String(ports[index]), '--tls-auth-clients', 'yes'],
        ['--tls-cert-file', certFile, '--tls-key-file', keyFile],
        ['--tls-ca-cert-file', authority.caFile, '--tls-replication', 'yes'],
        adminUser,
      ].flat(),
    })
  const primary = await start(0)
  t.after(() => primary.stop())
  const replica = await start(1, { host: '127.0.0.1', port: ports[0] ?? 0 })
  t.after(() => replica.stop())
  return { authority, servers: [primary, replica], ports }
}

const text = (file: string) => readFileSync(file, 'utf8')

interface Wish {
  /** Of `spec.backend.tls`, as YAML in one line. */
  readonly tls?: string
  readonly password?: string
  readonly caFile?: string
  /** A Secret that is not there. */
  readonly without?: string
}

function watch(t: TestContext, { authority, servers, ports }: SecureSet, wish: Wish): Harness {
  const client = authority.issue('operator')
  const {
    tls = '{caSecretRef: {name: ca}, clientCertSecretRef: {name: client}}',
    password = 'geheim',
    caFile = authority.caFile,
  } = wish
  const secrets = new Map<string, Readonly<Record<string, string>>>([
    ['default/app', { username: 'app', password: 'not-for-the-operator' }],
    ['default/admin', { username: 'respmesh', password }],
    ['default/ca', { 'ca.crt': text(caFile) }],
    ['default/client', { 'tls.crt': text(client.certFile), 'tls.key': text(client.keyFile) }],
  ])
  secrets.delete(`default/${wish.without}`)
  const set = new Harness(servers, '  failover: {downAfter: 500ms}', {
    ports,
    backend: `auth: {secretRef: {name: app}, adminSecretRef: {name: admin}}, tls: ${tls}`,
    secrets,
  })
  t.after(() => set.stop())
  set.start()
  return set
}

test('over TLS, with a certificate and a user of its own, a dead primary is replaced', async (t) => {
  const secure = await secureServers(t)
  const set = watch(t, secure, {})
  await set.reached('everything in order', () => set.inOrder())
  assert.equal(set.status.primary?.address, set.address(0))
  const [primary, replica] = secure.servers
  await primary?.command('SET', 'k', 'v')
  await set.replicated()
  await primary?.kill()
  await set.reached('a promotion', () => set.status.primary?.address === set.address(1))
  assert.equal(await replica?.command('GET', 'k'), '$1\r\nv\r\n')
  await primary?.restart()
  await set.reached('the old one as a replica', () => set.inOrder())
  assert.equal(await primary?.info('master_port'), String(secure.ports[1]))
  const { credentials, tls } = set.sidecars.last?.upstream ?? {}
  assert.match(credentials?.password.file ?? '', /default\.app\.password$/)
  assert.match(tls?.certFile ?? '', /default\.client\.tls\.crt$/)
  assert.doesNotMatch(JSON.stringify(set.sidecars.last), /default\.admin|geheim/)
})

test('without a Secret that only sidecars need the servers are arranged, and it is said', async (t) => {
  const secure = await secureServers(t)
  const set = watch(t, secure, { without: 'app' })
  const ready = () => set.condition('Ready') === 'False/SecretMissing'
  await set.reached('a primary, and the Secret to be missed', () => ready() && isWhole(set))
  await secure.servers[0]?.kill()
  await set.reached('a promotion', () => set.status.primary?.address === set.address(1))
})

const isWhole = (set: Harness) =>
  set.condition('ReplicationHealthy').startsWith('True') &&
  set.condition('PrimaryAvailable').startsWith('True')

const refusals: readonly (readonly [string, (other: Authority) => Wish, RegExp])[] = [
  ['an authority that is not trusted', ({ caFile }) => ({ caFile }), /certificate/i],
  [
    'a certificate for another name',
    () => ({
      tls: '{caSecretRef: {name: ca}, clientCertSecretRef: {name: client}, serverName: other.test}',
    }),
    /other\.test/,
  ],
  ['no client certificate', () => ({ tls: '{caSecretRef: {name: ca}}' }), /certificate|alert/i],
  ['a wrong password', () => ({ password: 'wrong' }), /refuses the credentials/],
]
for (const [what, wish, expected] of refusals) {
  test(`${what}: nothing is done, and the status says why`, async (t) => {
    const secure = await secureServers(t)
    const set = watch(t, secure, wish(createAuthority(t)))
    const said = () => set.status.conditions?.find(({ type }) => type === 'BackendReachable')
    await set.reached('the servers to be out of reach', () => said()?.status === 'False')
    assert.match(JSON.stringify(set.status), expected)
    assert.equal(set.status.primary, undefined)
    for (const server of secure.servers) {
      assert.doesNotMatch(await server.command('INFO', 'commandstats'), /cmdstat_replicaof/)
    }
  })
}

test('the name in the certificate may be another than the address', async (t) => {
  const secure = await secureServers(t)
  const tls =
    '{caSecretRef: {name: ca}, clientCertSecretRef: {name: client}, serverName: redis.test}'
  const set = watch(t, secure, { tls })
  await set.reached('everything in order', () => set.inOrder())
  assert.equal(set.sidecars.last?.upstream.tls?.serverName, 'redis.test')
})
