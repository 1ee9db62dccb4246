/** A server behind a network that swallows everything. Needs a network namespace; skipped where none may be made. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { serverProgram } from '../../support/servers.ts'
import { configFor, connect, encodeCommand, portOf, startPlane, until } from './harness.ts'

const run = (program: string, ...args: readonly string[]) =>
  execFileSync(program, args, { stdio: 'pipe' })

interface Far {
  readonly host: string
  readonly port: number
  cut(): void
  mend(): void
}

/** A server in a namespace of its own, at the other end of a pair of interfaces; undefined where it is not allowed. */
function startFar(t: TestContext): Far | undefined {
  const id = process.pid % 10_000
  const [space, near, far] = [`rmtest${id}`, `rmn${id}`, `rmf${id}`]
  const net = `10.${200 + (id % 50)}.${Math.floor(id / 50) % 250}`
  const inside = (...args: readonly string[]) => run('ip', 'netns', 'exec', space, ...args)
  try {
    run('ip', 'netns', 'add', space)
    t.after(() => run('ip', 'netns', 'delete', space))
    run('ip', 'link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', space)
    run('ip', 'address', 'add', `${net}.1/30`, 'dev', near)
    run('ip', 'link', 'set', near, 'up')
    inside('ip', 'address', 'add', `${net}.2/30`, 'dev', far)
    inside('ip', 'link', 'set', far, 'up')
    inside('iptables', '-L', '-n')
  } catch {
    return undefined
  }
  const flags = ['--port', '6379', '--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '']
  const server = spawn('ip', ['netns', 'exec', space, serverProgram(), ...flags], {
    stdio: 'ignore',
  })
  t.after(() => server.kill('SIGKILL'))
  return {
    host: `${net}.2`,
    port: 6379,
    cut: () => inside('iptables', '-I', 'INPUT', '-j', 'DROP'),
    mend: () => inside('iptables', '-D', 'INPUT', '-j', 'DROP'),
  }
}

test('a server that the network swallows is given up in seconds, and found again', async (t) => {
  const far = startFar(t)
  if (far === undefined) return t.skip('no network namespace may be made here')
  const timing = { connectTimeoutMs: 500, holdTimeoutMs: 500, queueTimeoutMs: 500 }
  const plane = await startPlane(t, configFor(far, { timing }))
  const one = await connect(t, portOf(plane))
  await until('the server is there', () => plane.view().primary === 'ok')
  assert.equal(await one.ask('SET', 'k', 'v'), '+OK\r\n')
  far.cut()
  const start = performance.now()
  one.send(encodeCommand(['INCR', 'n']))
  assert.match(await one.reply(), /^-PROXY RM_UPSTREAM_LOST/)
  assert.ok(performance.now() - start < 12_000, 'before a hung server would be')
  assert.match(await one.ask('GET', 'k'), /^-PROXY RM_HOLD_TIMEOUT/)
  far.mend()
  await until('it serves again', async () => (await one.ask('GET', 'k')) === '$1\r\nv\r\n')
  assert.match(await one.ask('GET', 'n'), /^\$-1/, 'what was lost was not sent again')
})
