/** A primary that is made a replica by hand, and somebody who notices: the sidecar itself, or an operator. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { UpstreamConfig } from '../../../common/contract/proxy-config.ts'
import { type RedisServer, freePort, startServer, until } from '../../support/servers.ts'
import { at, reads, replicatedConfig, startFront } from '../replication/harness.ts'
import { type Client, connect } from '../sidecar/harness.ts'
import { pipeline } from './demoted-scene.ts'

const root = new URL('../../../', import.meta.url).pathname
const patienceMs = 60_000

/** Several that write what nobody else does, half of them several commands ahead, and take no error. */
class Writers {
  readonly lengths: number[]
  private readonly end = new AbortController()
  private readonly running: Promise<unknown>

  private readonly readsBehind: boolean

  /** `readsBehind`: each of their pipelines ends with a read of what it wrote. */
  constructor(clients: readonly Client[], readsBehind = true) {
    this.readsBehind = readsBehind
    this.lengths = clients.map(() => 0)
    this.running = Promise.all(clients.map((client, index) => this.write(client, index)))
    this.running.catch(() => this.end.abort())
  }

  private async write(client: Client, index: number): Promise<void> {
    while (!this.end.signal.aborted) {
      const length = this.lengths[index] as number
      const key = `list:${index}`
      const count = index % 2 === 0 ? 1 : 5
      const words = Array.from({ length: count }, (_, at) => [
        'RPUSH',
        key,
        String(length + at + 1),
      ])
      const expected = words.map((_, at) => `:${length + at + 1}\r\n`)
      if (this.readsBehind) {
        words.push(['LLEN', key])
        expected.push(`:${length + count}\r\n`)
      }
      client.send(pipeline(...words))
      assert.deepEqual(await client.replies(expected.length), expected)
      this.lengths[index] = length + count
    }
  }

  /** Waits until all of them have written more. */
  async goOn(): Promise<void> {
    const before = [...this.lengths]
    const isMore = () =>
      this.end.signal.aborted || this.lengths.every((length, at) => length > (before[at] ?? 0) + 20)
    await until('writers go on', isMore, patienceMs)
    if (this.end.signal.aborted) await this.running
  }

  async stop(): Promise<void> {
    this.end.abort()
    await this.running
  }

  async check(command: Ask): Promise<void> {
    for (const [index, length] of this.lengths.entries()) {
      const found = await command('LRANGE', `list:${index}`, '0', '-1')
      const words = [...found.matchAll(/\r\n(\d+)(?=\r\n)/g)].map(([, word]) => Number(word))
      assert.deepEqual(
        words,
        Array.from({ length }, (_, at) => at + 1),
      )
    }
  }
}

type Ask = (...words: readonly string[]) => Promise<string>

const asking =
  (server: RedisServer): Ask =>
  (...words) =>
    server.command(...words)

/** Makes `second` the primary of `first` without anything being lost. */
async function swap(first: Ask, second: Ask, ports: { readonly second: number }): Promise<void> {
  const offset = async (command: Ask) =>
    /master_repl_offset:(\d+)/.exec(await command('INFO', 'replication'))?.[1]
  await first('CLIENT', 'PAUSE', '20000', 'WRITE')
  await until('the replica has all', async () => (await offset(first)) === (await offset(second)))
  await second('REPLICAOF', 'NO', 'ONE')
  await first('REPLICAOF', '127.0.0.1', String(ports.second))
  await first('CLIENT', 'UNPAUSE')
}

async function pair(t: TestContext): Promise<readonly [RedisServer, RedisServer]> {
  const first = await startServer()
  t.after(() => first.stop())
  const second = await startServer({ replicaOf: first })
  t.after(() => second.stop())
  await until('the replica follows', async () => (await second.info('master_link_status')) === 'up')
  return [first, second]
}

const ways: readonly { readonly name: string; readonly upstream: Partial<UpstreamConfig> }[] = [
  { name: 'all goes to the primary', upstream: {} },
  { name: 'reads go to replicas', upstream: { reads } },
  { name: 'every client has its own connection', upstream: { isolation: 'perClient' } },
]

for (const { name, upstream } of ways) {
  test(`writers hear nothing of a primary that the sidecar finds itself: ${name}`, async (t) => {
    const [first, second] = await pair(t)
    const front = await startFront(t, replicatedConfig([first, second], upstream))
    await until('it is found', () => front.primary() === at(first))
    const clients = await Promise.all(Array.from({ length: 6 }, () => front.client()))
    // With a read behind it that was run, such a write keeps its refusal where there are several servers.
    const writers = new Writers(clients, upstream.reads === undefined)
    for (const [old, next] of [
      [first, second],
      [second, first],
      [first, second],
    ] as const) {
      await writers.goOn()
      await until(
        'the replica follows',
        async () => (await next.info('master_link_status')) === 'up',
      )
      await swap(asking(old), asking(next), { second: next.port })
      await until('the next is found', () => front.primary() === at(next))
    }
    await writers.goOn()
    await writers.stop()
    await writers.check(asking(second))
    const { commandsLost, refusedByState } = front.plane.view().counters
    assert.equal(commandsLost, 0)
    assert.ok(refusedByState > 0)
  })
}

interface Up {
  readonly port: number
  readonly page: string
}

/** `respmesh up`: an operator, a sidecar and servers of its own. */
async function up(t: TestContext): Promise<Up> {
  const temporary = mkdtempSync(join(tmpdir(), 'respmesh-demoted-test-'))
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
  t.after(async () => {
    const exited = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGTERM')) await exited
    rmSync(temporary, { recursive: true, force: true })
  })
  await until('up is ready', () => output.includes('respmesh is ready'), patienceMs)
  return {
    port: Number(/endpoint +127\.0\.0\.1:(\d+)/.exec(output)?.[1]),
    page: /status page +(\S+)/.exec(output)?.[1] ?? '',
  }
}

test('writers hear nothing of a primary that the operator finds demoted', async (t) => {
  const started = await up(t)
  const members = async () => {
    const status = (await (await fetch(`${started.page}/api/status`)).json()) as {
      readonly members: readonly { readonly address: string; readonly role: string }[]
    }
    return status.members
  }
  const portOf = async (role: string) => {
    const found = (await members()).find((member) => member.role === role)
    return Number(found?.address.split(':').at(-1))
  }
  const commandOf = async (port: number) => {
    const client = await connect(t, port)
    return (...words: readonly string[]) => client.ask(...words)
  }
  const clients = await Promise.all(Array.from({ length: 6 }, () => connect(t, started.port)))
  const writers = new Writers(clients)
  await writers.goOn()
  const [primary, replica] = [await portOf('primary'), await portOf('replica')]
  const [first, second] = [await commandOf(primary), await commandOf(replica)]
  await swap(first, second, { second: replica })
  await writers.goOn()
  await writers.stop()
  await writers.check(await commandOf(await portOf('primary')))
})
