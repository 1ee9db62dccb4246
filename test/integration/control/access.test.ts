/** Who may use the admin port, and what its commands do. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { adminFailuresFree } from '../../../common/limits.ts'
import { createAuthority } from '../../support/certificates.ts'
import { freePort, until } from '../../support/servers.ts'
import { WireClient } from '../switch/wire.ts'
import { type Changes, startSite } from '../switch/site.ts'

const root = join(import.meta.dirname, '..', '..', '..')

interface Asked {
  readonly path?: string
  readonly cmd?: string
  readonly login?: string
}

async function ask(port: number, { path = '/cmd/', cmd, login }: Asked) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    ...(cmd !== undefined && { method: 'POST', body: new URLSearchParams({ cmd }) }),
    headers: login ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {},
  })
  return { status: response.status, body: await response.text(), headers: response.headers }
}

async function secured(t: TestContext, changes: Changes = {}) {
  const port = await freePort()
  const directory = { path: '' }
  const users = () => [
    {
      username: { file: join(directory.path, 'user') },
      password: { file: join(directory.path, 'password') },
    },
  ]
  const site = await startSite(t, changes)
  directory.path = site.directory
  writeFileSync(join(site.directory, 'user'), 'operator\n')
  writeFileSync(join(site.directory, 'password'), 'of the port\n')
  return { site, port, users }
}

test('with users everything but health and metrics needs a login, and guesses are slowed', async (t) => {
  const { site, users } = await secured(t)
  const port = await site.sidecar.adminPort()
  site.write({
    ...site.configFor(site.serving),
    admin: { host: '127.0.0.1', port: 0, users: users() },
  })
  await site.succeed('reload')
  for (const path of ['/livez', '/readyz', '/startz', '/metrics']) {
    assert.equal((await ask(port, { path })).status, 200, path)
  }
  const nobody = await ask(port, { cmd: 'pause' })
  assert.equal(nobody.status, 401)
  assert.match(nobody.headers.get('www-authenticate') ?? '', /^Basic/)
  assert.deepEqual(JSON.parse(nobody.body), { ok: false, error: 'user and password are needed' })
  for (const path of ['/', '/status', '/config']) {
    assert.equal((await ask(port, { path })).status, 401, path)
  }
  const login = 'operator:of the port'
  assert.equal((await ask(port, { path: '/status', login })).status, 200)
  assert.equal((await ask(port, { cmd: 'unpause', login })).body, '{"ok":true}')
  const guesses = Array.from({ length: adminFailuresFree + 4 }, (_, index) => `operator:${index}`)
  const answers: number[] = []
  for (const guess of guesses)
    answers.push((await ask(port, { cmd: 'pause', login: guess })).status)
  assert.ok(answers.includes(401) && answers.includes(429), answers.join(' '))
  assert.doesNotMatch(JSON.stringify(site.sidecar.log), /of the port/)
  await until(
    'the right one is looked at again',
    async () => (await ask(port, { path: '/status', login })).status === 200,
  )
  // A changed password is in use without a reload.
  writeFileSync(join(site.directory, 'password'), 'another\n')
  await until(
    'the new password counts',
    async () => (await ask(port, { path: '/status', login: 'operator:another' })).status === 200,
  )
})

test('the admin port goes over to TLS and another address, and asks for certificates', async (t) => {
  const { site, port } = await secured(t)
  const authority = createAuthority(t)
  const own = authority.issue('server')
  const client = authority.issue('client')
  const tls = { certFile: own.certFile, keyFile: own.keyFile, clientCaFile: authority.caFile }
  site.write({ ...site.configFor(site.serving), admin: { host: '127.0.0.1', port, tls } })
  await site.succeed('reload')
  const get = (path: string, withCertificate: boolean) =>
    new Promise<number>((resolve, reject) => {
      const files = withCertificate
        ? { cert: readFileSync(client.certFile), key: readFileSync(client.keyFile) }
        : {}
      const options = {
        host: '127.0.0.1',
        port,
        path,
        ca: readFileSync(authority.caFile),
        ...files,
      }
      const sent = request({ ...options, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode ?? 0)
      })
      sent.on('error', reject).end()
    })
  assert.equal(await get('/readyz', false), 200)
  assert.equal(await get('/status', false), 403)
  assert.equal(await get('/status', true), 200)
})

test('the command line tells every reason, and that it is done', async (t) => {
  const site = await startSite(t)
  const admin = `http://127.0.0.1:${await site.sidecar.adminPort()}`
  const respmesh = (...args: readonly string[]) =>
    new Promise<{ code: number; text: string }>((resolve) => {
      execFile(process.execPath, [join(root, 'cli/main.ts'), ...args], (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), text: stdout + stderr }),
      )
    })
  assert.deepEqual(await respmesh('pause', '--admin', admin), { code: 0, text: '' })
  assert.match((await site.sidecar.get('/status')).body, /"isPaused": true/)
  assert.deepEqual(await respmesh('resume', '--admin', admin), { code: 0, text: '' })
  assert.deepEqual(await respmesh('terminate-raw-connections', '--admin', admin), {
    code: 0,
    text: '',
  })
  const missing = { certFile: '/none.crt', keyFile: '/none.key' }
  const broken = site.configFor(site.following, {
    workers: 4,
    listeners: [{ host: '127.0.0.1', port: site.port, tls: missing }],
  })
  site.write(broken)
  const refused = await respmesh('reload', '--admin', admin)
  assert.equal(refused.code, 1)
  assert.match(refused.text, /workers is 4/)
  assert.match(refused.text, /none\.crt/)
  assert.match(refused.text, /its role is slave/)
  const file = join(site.directory, 'config.json')
  const offline = await respmesh('verify', file)
  assert.equal(offline.code, 1)
  assert.match(offline.text, /none\.crt/)
  assert.doesNotMatch(offline.text, /role/)
  const online = await respmesh('verify', '--connect', file)
  assert.match(online.text, /none\.crt.*\n.*its role is slave/)
  site.write(site.configFor(site.serving))
  assert.deepEqual(await respmesh('verify', '--connect', file), { code: 0, text: `${file}: ok\n` })
  assert.deepEqual(await respmesh('reload', '--admin', admin), { code: 0, text: '' })
})

test('SIGHUP goes over to everything that changed, and clients stay', async (t) => {
  const site = await startSite(t)
  const client = new WireClient(site.port, () => {})
  t.after(() => client.close())
  await client.ask('SET', 'a', '1')
  const added = await freePort()
  site.write({
    ...site.configFor(site.serving, { timing: { holdTimeoutMs: 4321 } }),
    listeners: [
      { host: '127.0.0.1', port: site.port },
      { host: '127.0.0.1', port: added },
    ],
    commands: { deny: ['get'] },
    logLevel: 'debug',
  })
  site.sidecar.signal('SIGHUP')
  await until('it is in force', async () =>
    (await site.sidecar.get('/config')).body.includes('4321'),
  )
  const other = new WireClient(added, () => {})
  t.after(() => other.close())
  await assert.rejects(other.ask('GET', 'a'), /NOPERM/)
  await assert.rejects(client.ask('GET', 'a'), /NOPERM/)
  site.write(site.configFor(site.serving))
  await site.succeed('reload')
  assert.equal((await client.ask('GET', 'a')).kind, 'text')
  await assert.rejects(new Promise((_resolve, reject) => new WireClient(added, reject)))
})

for (const workers of [1, 2]) {
  test(`messages are logged on request, and nothing that is secret, with ${workers} processes`, async (t) => {
    const site = await startSite(t, { workers })
    const client = new WireClient(site.port, () => {})
    t.after(() => client.close())
    await client.ask('SET', 'before', 'value-1')
    assert.deepEqual(await site.command('log-messages', { seconds: '60', max: 'x' }), {
      ok: false,
      error: 'max is "x"; expected a number from 0 to 1000000',
    })
    assert.deepEqual(await site.command('log-messages', { seconds: '60', max: '40' }), { ok: true })
    await client.askAny('AUTH', 'user', 'secret-2')
    await client.askAny('CONFIG', 'SET', 'requirepass', 'secret-3')
    await client.askAny('secret-4')
    await client.ask('MSET', 'key-1', 'value-2', 'key-2', 'value-3'.repeat(100_000))
    await client.ask('GET', 'key-1')
    const messages = () => site.sidecar.log.filter(({ msg }) => msg === 'message')
    await until('all are logged', () => messages().length >= 10)
    const text = JSON.stringify(messages())
    assert.doesNotMatch(text, /secret-|value-|key-/)
    const commands = messages().flatMap((line) => ('command' in line ? [line] : []))
    assert.deepEqual(
      commands.map(({ command }) => command),
      ['AUTH', 'CONFIG|SET', 'unknown', 'MSET', 'GET'],
    )
    const [set, get] = commands.slice(3).map((line) => line['keys'] as string[] | string)
    assert.ok(set === 'unknown' || set?.[0] === get?.[0], `${set} ${get}`)
    assert.ok(Number(commands[3]?.['bytes']) > 700_000)
    // At its end nothing is followed any more.
    for (let index = 0; index < 40; index += 1) await client.ask('GET', 'before')
    const { length } = messages()
    await client.ask('GET', 'before')
    assert.ok(length <= 42)
    assert.equal(messages().length, length)
  })
}
