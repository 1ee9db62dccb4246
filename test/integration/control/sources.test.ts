import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../../common/contract/proxy-config.ts'
import { ReplyError } from '../../../sidecar/topology/reply.ts'
import { type RedisServer, freePort, startServer, until } from '../../support/servers.ts'
import { serves, startSidecar } from './sidecar-process.ts'

async function server(context: TestContext, options = {}): Promise<RedisServer> {
  const started = await startServer(options)
  context.after(() => started.stop())
  return started
}

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'respmesh-control-'))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

test('flags alone are enough; the log and nothing else is written, to standard error', async (context) => {
  const redis = await server(context)
  const upstream = `redis://127.0.0.1:${redis.port}`
  const sidecar = startSidecar(
    context,
    `--upstream ${upstream} --listen 127.0.0.1:0 --admin 127.0.0.1:0`,
  )
  await serves(sidecar)
  assert.match(await redis.command('GET', 'respmesh:test'), /^\$1\r\n1\r\n/)
  await until('it is started', async () => (await sidecar.get('/startz')).status === 200)
  sidecar.signal('SIGTERM')
  assert.equal(await sidecar.ended, 0)
  assert.deepEqual(sidecar.output, { stdout: '', stderr: '' })
})

test('variables alone are enough, with a password in a file and a unix socket', async (context) => {
  const redis = await server(context, { password: 'hunter2' })
  const path = folder(context)
  writeFileSync(join(path, 'password'), 'hunter2\n')
  const sidecar = startSidecar(context, '', {
    RESPMESH_UPSTREAM: `127.0.0.1:${redis.port}`,
    RESPMESH_UPSTREAM_PASSWORD_FILE: join(path, 'password'),
    RESPMESH_CLIENT_PASSWORD: 'sesame',
    RESPMESH_LISTEN: '127.0.0.1:0',
    RESPMESH_UNIX: join(path, 'redis.sock'),
    RESPMESH_ADMIN: '127.0.0.1:0',
    RESPMESH_SURPRISE: '1',
  })
  const { listeners } = await sidecar.logged('sidecar is listening')
  assert.equal((listeners as string[]).length, 2)
  const refused = await sidecar.ask('GET', 'a')
  assert.ok(refused instanceof ReplyError)
  assert.match(refused.message, /^NOAUTH/)
  assert.equal(await sidecar.ask('AUTH', 'sesame'), 'OK')
  await until('it is started', async () => (await sidecar.get('/startz')).status === 200)
  const { warning } = await sidecar.logged('setting has no effect')
  assert.match(String(warning), /SURPRISE/)
  const { body } = await sidecar.get('/config')
  assert.doesNotMatch(body, /hunter2|sesame/)
  assert.doesNotMatch(JSON.stringify(sidecar.log), /hunter2|sesame/)
})

test('a password in the address works and is not seen in the list of processes', async (context) => {
  const redis = await server(context, { password: 'hunter2' })
  const sidecar = startSidecar(
    context,
    `--upstream redis://:hunter2@127.0.0.1:${redis.port} --listen 127.0.0.1:0`,
  )
  await serves(sidecar)
  const { readFileSync } = await import('node:fs')
  assert.doesNotMatch(readFileSync(`/proc/${sidecar.pid}/cmdline`, 'latin1'), /hunter2/)
  assert.doesNotMatch(JSON.stringify(sidecar.log), /hunter2/)
})

test('wrong arguments end with code 2 and one message', async (context) => {
  const sidecar = startSidecar(context, '--upstream http://x --listen y')
  assert.equal(await sidecar.ended, 2)
  assert.match(sidecar.output.stderr, /--upstream is "http:\/\/x".*\n--listen is "y"/)
  assert.match(sidecar.output.stderr, /RM_USAGE/)
  const help = startSidecar(context, '--help')
  assert.equal(await help.ended, 0)
  assert.match(help.output.stdout, /^Usage: respmesh sidecar/)
})

test('a port that is taken ends with code 1 and names it', async (context) => {
  const redis = await server(context)
  const taken = `127.0.0.1:${redis.port}`
  const sidecar = startSidecar(context, `--upstream ${taken} --listen ${taken}`)
  assert.equal(await sidecar.ended, 1)
  assert.match(sidecar.output.stderr, new RegExp(`${taken}.*RM_LISTEN_FAILED`, 's'))
  // With a primary named, a connection to it may be open already: it must not keep the process.
  const address = { host: '127.0.0.1', port: redis.port }
  const config = standaloneConfig({ members: [address], listeners: [address] })
  const file = join(folder(context), 'config.json')
  const upstream = { ...config.upstream, discovery: 'operator', primary: address }
  writeFileSync(file, JSON.stringify({ ...config, upstream }))
  assert.equal(await startSidecar(context, `--config ${file}`).ended, 1)
})

test('a file is obeyed, obeyed again on SIGHUP and on change, and a bad one is not', async (context) => {
  const [first, second] = [await server(context), await server(context)]
  const file = join(folder(context), 'config.json')
  const listen = await freePort()
  const write = (config: unknown) => {
    writeFileSync(`${file}.new`, typeof config === 'string' ? config : JSON.stringify(config))
    renameSync(`${file}.new`, file)
  }
  const fronting = ({ port }: RedisServer): ProxyConfig =>
    standaloneConfig({
      members: [{ host: '127.0.0.1', port }],
      listeners: [{ host: '127.0.0.1', port: listen }],
    })
  const reaches = (redis: RedisServer) =>
    until('commands reach the server', async () => {
      const reply = await sidecar.ask('CONFIG', 'GET', 'port')
      return Array.isArray(reply) && reply[1] === String(redis.port)
    })
  write(fronting(first))
  const sidecar = startSidecar(context, `--config ${file} --admin 127.0.0.1:0`)
  await serves(sidecar)
  await reaches(first)
  write(fronting(second))
  sidecar.signal('SIGHUP')
  await reaches(second)
  write('{ not json')
  const refusal = 'configuration refused; the last good one stays in force'
  const { level, err } = await sidecar.logged(refusal)
  assert.equal(level, 'error')
  assert.equal((err as { code: string }).code, 'RM_CONFIG_UNREADABLE')
  await reaches(second)
  write(fronting(first))
  await reaches(first)
})

test('a file that is missing or wrong at start ends with code 2 and says where', async (context) => {
  const file = join(folder(context), 'config.json')
  const missing = startSidecar(context, `--config ${file}`)
  assert.equal(await missing.ended, 2)
  assert.match(missing.output.stderr, /config\.json cannot be read.*RM_CONFIG_UNREADABLE/s)
  writeFileSync(file, '{"apiVersion": "config.respmesh.io/v1", "epoch": "two"}')
  const wrong = startSidecar(context, `--config ${file}`)
  assert.equal(await wrong.ended, 2)
  assert.match(wrong.output.stderr, /epoch: must be of type integer.*RM_CONFIG_INVALID/s)
})
