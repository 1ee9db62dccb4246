/** Passwords on both sides: who is let in how fast, what a server ever sees, and how a changed one is taken up. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createAuthority } from '../../support/certificates.ts'
import { freePort, startServer } from '../../support/servers.ts'
import { serves, startSidecar } from '../control/sidecar-process.ts'
import {
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  startRig,
  until,
} from './harness.ts'

const options = { timeout: 60_000 }
const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const wrong = '-WRONGPASS invalid username-password pair or user is disabled.\r\n'

function scratch(t: TestContext): (name: string, content: string) => string {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-secrets-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return (name, content) => {
    writeFileSync(join(directory, name), content)
    return join(directory, name)
  }
}

const canary = 'canary-7c1f'

test('no client credential ever reaches a server, however it is sent', options, async (t) => {
  process.env['SIDECAR_TEST_CANARY'] = `${canary}-right`
  const clientAuth = { users: [{ password: { env: 'SIDECAR_TEST_CANARY' } }] }
  const rig = await startRig(t, { clientAuth })
  const monitor = await rig.direct()
  assert.equal(await monitor.ask('MONITOR'), '+OK\r\n')
  const right = ['AUTH', `${canary}-right`] as const
  const user = ['AUTH', 'default', `${canary}-right`] as const
  const bad = ['AUTH', `${canary}-user`, `${canary}-bad`] as const
  const hello = ['HELLO', '3', 'AUTH', `${canary}-user`, `${canary}-bad`, 'SETNAME', 'x'] as const
  const sets = (name: string) => encodeCommand(['SET', name, '1'])
  const pieces: readonly (readonly [what: string, isLoggedIn: boolean, bytes: string])[] = [
    ['before login', false, encodeCommand(bad) + encodeCommand(hello) + sets('k1')],
    ['inline', false, `auth ${canary}-bad\r\nAUTH "${canary}-right"\r\n${sets('k2')}`],
    ['in a pipeline', true, sets('k3') + encodeCommand(right) + sets('k4') + encodeCommand(bad)],
    ['with other letters', true, encodeCommand(['aUtH', `${canary}-bad`]) + sets('k5')],
    [
      'in a transaction',
      true,
      encodeCommand(['MULTI']) + sets('k6') + encodeCommand(user) + encodeCommand(hello),
    ],
    ['after EXEC', true, `${encodeCommand(['MULTI'])}${sets('k7')}EXEC\r\n${encodeCommand(hello)}`],
    ['while subscribed', true, encodeCommand(['SUBSCRIBE', 'c']) + encodeCommand(right)],
    ['with WATCH', true, encodeCommand(['WATCH', 'k']) + encodeCommand(hello) + sets('k8')],
    ['HELLO 2', true, encodeCommand(['HELLO', '2', ...user]) + sets('k9')],
    ['too long', true, encodeCommand(['AUTH', canary.repeat(40_000)])],
    ['a long name', true, encodeCommand(['HELLO', '3', 'AUTH', canary.repeat(40_000), 'x'])],
    ['too many words', true, encodeCommand(['AUTH', canary, canary, canary])],
    ['a torn command', true, encodeCommand(right).slice(0, -4)],
  ]
  for (const [what, isLoggedIn, bytes] of pieces) {
    const client = await rig.client()
    if (isLoggedIn) assert.equal(await client.ask(...right), '+OK\r\n')
    client.send(bytes)
    client.socket.end()
    await until(`it is dealt with: ${what}`, () => client.isClosed)
  }
  const last = await rig.client()
  await last.ask(...right)
  await last.ask('SET', 'the-end', '1')
  await until('the server saw the last command', () => monitor.text().includes('the-end'))
  assert.ok(monitor.text().includes('"k5"'), 'other commands are seen')
  assert.ok(!monitor.text().toLowerCase().includes('canary'), monitor.text())
  assert.doesNotMatch(monitor.text(), /"(auth|hello)" "[^"]*auth/i)
  const failures = await (await rig.direct()).ask('ACL', 'LOG')
  assert.equal(failures, '*0\r\n')
})

test(
  'guesses from an address are slowed, the right password of another client is not',
  options,
  async (t) => {
    process.env['SIDECAR_TEST_GUESS'] = 'right'
    const clientAuth = { users: [{ password: { env: 'SIDECAR_TEST_GUESS' } }] }
    const rig = await startRig(t, { clientAuth })
    const { counters } = rig.plane.view()
    const goal = isFull ? 100_000 : 2000
    const leavingShare = isFull ? 0.02 : 0.5
    const tally = { answers: 0, sent: 0, isOver: false }
    const guess = async () => {
      while (!tally.isOver) {
        const socket = createConnection(rig.port, '127.0.0.1')
        const many = 40
        socket.on('data', (chunk: Buffer) => {
          tally.answers += chunk.toString('latin1').split(wrong).length - 1
        })
        tally.sent += many
        socket.write(encodeCommand(['AUTH', 'guess']).repeat(many))
        await new Promise((resolve) => {
          socket.on('error', () => {}).once('close', resolve)
          // Some wait for their answers, others leave at once to try anew.
          if (Math.random() < leavingShare) setTimeout(() => socket.destroy(), 20 * Math.random())
          else setTimeout(() => socket.destroy(), 2000)
        })
      }
    }
    const start = performance.now()
    const guessers = Array.from({ length: isFull ? 200 : 50 }, guess)
    await until('guesses are slowed', () => counters.authFailures > 50)
    let slowest = 0
    const leastMs = isFull ? 30_000 : 2500
    while (performance.now() - start < leastMs || tally.sent < goal) {
      const client = await rig.client()
      const began = performance.now()
      assert.equal(await client.ask('AUTH', 'right'), '+OK\r\n')
      slowest = Math.max(slowest, performance.now() - began)
      client.socket.destroy()
    }
    tally.isOver = true
    const seconds = (performance.now() - start) / 1000
    await Promise.all(guessers)
    assert.ok(tally.answers <= 20 + 20 * (seconds + 4), `${tally.answers} answers in ${seconds} s`)
    assert.ok(slowest < 2500, `a right password took ${slowest} ms`)
    t.diagnostic(
      `${tally.sent} guesses sent, ${tally.answers} answered in ${seconds} s; slowest login ${slowest} ms`,
    )
  },
)

test('who has not authenticated cannot make the sidecar keep replies', options, async (t) => {
  process.env['SIDECAR_TEST_UNREAD'] = 'right'
  const clientAuth = { users: [{ password: { env: 'SIDECAR_TEST_UNREAD' } }] }
  const rig = await startRig(t, { clientAuth })
  const socket = createConnection(rig.port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.pause()
  socket.on('error', () => {})
  const line = Buffer.from('a\r\n'.repeat(20_000))
  const write = () => {
    while (!socket.destroyed && socket.write(line)) continue
  }
  socket.on('drain', write)
  write()
  await until('it is cut', () => rig.plane.view().clients === 0)
  const { clientBytesWritten } = rig.plane.view().counters
  // What the kernel took is not ours to bound; beyond it only a little is kept.
  assert.ok(clientBytesWritten < 16 << 20, `${clientBytesWritten} bytes`)
})

test(
  'a changed password counts for new logins, also behind a swapped link; sessions stay',
  options,
  async (t) => {
    const put = scratch(t)
    const directory = join(put('keep', '.'), '..')
    const swapIn = (name: string, password: string) => {
      mkdirSync(join(directory, name))
      writeFileSync(join(directory, name, 'password'), `${password}\n`)
      symlinkSync(name, join(directory, '..data_tmp'))
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
    }
    swapIn('..1', 'first')
    symlinkSync(join('..data', 'password'), join(directory, 'password'))
    const clientAuth = { users: [{ password: { file: join(directory, 'password') } }] }
    const rig = await startRig(t, { clientAuth })
    const one = await rig.client()
    assert.equal(await one.ask('AUTH', 'first'), '+OK\r\n')
    const works = async (password: string) =>
      (await (await rig.client()).ask('AUTH', password)) === '+OK\r\n'
    swapIn('..2', 'second')
    const start = performance.now()
    await until('the new password is taken', () => works('second'))
    assert.ok(performance.now() - start < 3000)
    assert.ok(!(await works('first')))
    assert.equal(await one.ask('PING'), '+PONG\r\n')
    rmSync(join(directory, '..data'))
    await until('the loss is counted', () => rig.plane.view().counters.fileReloadErrors === 1)
    assert.equal(rig.plane.view().staleFiles, 1)
    assert.ok(await works('second'))
  },
)

test(
  'the password for the server may change: connections stay, new ones use it',
  options,
  async (t) => {
    const put = scratch(t)
    const file = put('password', 'old')
    const username = { file: put('user', 'app') }
    const server = await startServer({ args: ['--user', 'app', 'on', '>old', '~*', '&*', '+@all'] })
    t.after(() => server.stop())
    await server.command('ACL', 'SETUSER', 'default', 'off')
    const upstream = { credentials: { username, password: { file } } }
    const plane = await startPlane(
      t,
      configFor(server, { upstream, timing: { holdTimeoutMs: 500 } }),
    )
    const client = await connect(t, portOf(plane))
    assert.equal(await client.ask('ACL', 'WHOAMI'), '$3\r\napp\r\n')
    const owner = await connect(t, server.port)
    assert.equal(await owner.ask('AUTH', 'app', 'old'), '+OK\r\n')
    assert.equal(await owner.ask('ACL', 'SETUSER', 'app', 'resetpass', '>new'), '+OK\r\n')
    put('password', 'new')
    assert.equal(await client.ask('PING'), '+PONG\r\n')
    const other = await connect(t, portOf(plane))
    // A connection of its own is a new one.
    assert.equal(await other.ask('WATCH', 'k'), '+OK\r\n')
    assert.equal(await other.ask('ACL', 'WHOAMI'), '$3\r\napp\r\n')
    assert.equal(plane.view().counters.upstreamConnectErrors, 0)
  },
)

test(
  'a server that refuses the sidecar is named to clients and in the log, and tried on',
  options,
  async (t) => {
    const put = scratch(t)
    const file = put('password', 'wrong')
    const server = await startServer({ password: 'right' })
    t.after(() => server.stop())
    const sidecar = startSidecar(t, '--listen 127.0.0.1:0 --admin 127.0.0.1:0', {
      RESPMESH_CONFIG: put(
        'config.json',
        JSON.stringify({
          ...configFor(server, {
            upstream: { discovery: 'operator', credentials: { password: { file } } },
            timing: { holdTimeoutMs: 300 },
          }),
          logLevel: 'info',
        }),
      ),
    })
    const line = await sidecar.logged('a server cannot be used; trying on')
    assert.match(JSON.stringify(line), /RM_UPSTREAM_AUTH.*WRONGPASS|WRONGPASS.*RM_UPSTREAM_AUTH/)
    const refused = await sidecar.ask('GET', 'k')
    assert.match(
      JSON.stringify(refused),
      /PROXY RM_UPSTREAM_AUTH the server refuses the user or password/,
    )
    put('password', 'right')
    await serves(sidecar)
    assert.doesNotMatch(JSON.stringify(sidecar.log), /"(wrong|right)"/)
  },
)

test(
  'a server that asks for client certificates gets one, and a renewed one',
  options,
  async (t) => {
    const authority = createAuthority(t)
    const cert = authority.issue('redis.test')
    const own = authority.issue('sidecar')
    const port = await freePort()
    const server = await startServer({
      args: `--tls-port ${port} --tls-auth-clients yes --tls-cert-file ${cert.certFile} --tls-key-file ${cert.keyFile} --tls-ca-cert-file ${authority.caFile}`.split(
        ' ',
      ),
    })
    t.after(() => server.stop())
    const { caFile } = authority
    const planeWith = (tls: object) => {
      const base = { verify: true, caFile, serverName: 'redis.test' }
      return startPlane(
        t,
        configFor(
          { host: '127.0.0.1', port },
          { timing: { holdTimeoutMs: 300 }, upstream: { tls: { ...base, ...tls } } },
        ),
      )
    }
    const plane = await planeWith(own)
    const client = await connect(t, portOf(plane))
    assert.equal(await client.ask('SET', 'k', 'v'), '+OK\r\n')

    writeFileSync(own.certFile, 'no certificate')
    const other = await connect(t, portOf(plane))
    // A new connection goes on with the certificate that was good.
    assert.equal(await other.ask('WATCH', 'k'), '+OK\r\n')
    assert.equal(plane.view().counters.fileReloadErrors, 1)
    const renewed = authority.issue('sidecar')
    await until('the renewed one is taken', () => plane.view().counters.fileReloads > 0)
    assert.equal(renewed.certFile, own.certFile)
    const third = await connect(t, portOf(plane))
    assert.equal(await third.ask('WATCH', 'k'), '+OK\r\n')

    const stranger = createAuthority(t, 'Another authority').issue('sidecar')
    for (const tls of [{}, stranger]) {
      const refused = await connect(t, portOf(await planeWith(tls)))
      assert.match(await refused.ask('GET', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
    }
  },
)
