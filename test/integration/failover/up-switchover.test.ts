/** `respmesh switchover` against `respmesh up`, as a user has both: in two terminals, with clients that write. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Redis } from 'ioredis'
import { freePort, until } from '../../support/servers.ts'

const root = new URL('../../../', import.meta.url).pathname
const patienceMs = 30_000

interface Up {
  readonly port: number
  readonly consolePort: number
  output(): string
}

async function up(context: TestContext): Promise<Up> {
  const temporary = mkdtempSync(join(tmpdir(), 'respmesh-switchover-test-'))
  const args = ['--port', String(await freePort()), '--console-port', String(await freePort())]
  const child: ChildProcess = spawn(process.execPath, ['cli/main.ts', 'up', ...args], {
    cwd: root,
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  }
  context.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    rmSync(temporary, { recursive: true, force: true })
  })
  const find = (pattern: RegExp) => Number(pattern.exec(output)?.[1])
  await until('up is ready', () => output.includes('respmesh is ready'), patienceMs)
  return {
    port: find(/endpoint +127\.0\.0\.1:(\d+)/),
    consolePort: find(/status page +http:\/\/127\.0\.0\.1:(\d+)/),
    output: () => output,
  }
}

function switchover({ consolePort }: Up, ...args: readonly string[]) {
  const at = ['--console', `127.0.0.1:${consolePort}`]
  const { promise, resolve } = Promise.withResolvers<{
    readonly code: number
    readonly out: string
    readonly err: string
  }>()
  execFile(
    process.execPath,
    ['cli/main.ts', 'switchover', ...at, ...args],
    { cwd: root },
    (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }),
  )
  return promise
}

test('a switchover under writes: another primary, no error, nothing lost, there and back', async (context) => {
  const started = await up(context)
  const client = new Redis({ port: started.port, host: '127.0.0.1', retryStrategy: () => null })
  const errors: string[] = []
  client.on('error', (error: Error) => errors.push(error.message))
  context.after(() => client.disconnect())
  let written = 0
  const ending = new AbortController()
  const writing = (async () => {
    for (; !ending.signal.aborted; written += 1) await client.set(`k${written}`, String(written))
  })()
  writing.catch((error: unknown) => errors.push(String(error)))

  const more = (count: number) => {
    const goal = written + count
    return until('writes go on', () => written >= goal || errors.length > 0, patienceMs)
  }
  await more(50)
  const there = await switchover(started)
  assert.equal(there.code, 0, there.err + started.output())
  const line = /^(127\.0\.0\.1:\d+) → (127\.0\.0\.1:\d+), held for \d+ ms, bytes lost 0\n$/
  const [, from = '', to = ''] = line.exec(there.out) ?? []
  assert.notEqual(from, '', there.out)
  await more(50)
  const again = await switchover(started, '--to', to)
  assert.equal(again.code, 1)
  assert.match(again.err, /is the primary already/)
  await until(
    'the old primary follows',
    async () => {
      const state = (await (
        await fetch(`http://127.0.0.1:${started.consolePort}/api/status`)
      ).json()) as { phase: string; members: { role: string; state: string }[] }
      const replicas = state.members.filter(
        (member) => member.role === 'replica' && member.state === 'Online',
      )
      return state.phase === 'Steady' && replicas.length === 2
    },
    patienceMs,
  )
  const back = await switchover(started, '--to', from)
  assert.match(back.out, line, back.err)
  await more(50)
  ending.abort()
  await writing
  assert.deepEqual(errors, [])
  const keys = Array.from({ length: written }, (_each, index) => `k${index}`)
  const values = await client.mget(keys)
  assert.deepEqual(
    values,
    keys.map((key) => key.slice(1)),
  )
})
