/**
 * The server is the oracle: random programs of commands run directly against one server and through the sidecar
 * against another, in any pieces, and every byte that comes back must be the same. Not among them: AUTH and HELLO,
 * which servers queue in a transaction and the sidecar, which answers them itself, refuses there.
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { encodeCommand } from '../../sidecar/resp/encode.ts'
import { startServer } from '../support/servers.ts'
import {
  type Client,
  configFor,
  connect,
  portOf,
  startPlane,
  until,
} from '../integration/sidecar/harness.ts'

const isFull = process.env.RESPMESH_TEST_SIZE === 'full'
const runCount = Number(process.env.FUZZ_RUNS ?? (isFull ? 5000 : 150))
const timeLimitMs = isFull ? 480_000 : 40_000
const seed = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)

const key = fc.constantFrom('a', 'b', 'c', '{t}1', 'k\r\n')
const value = fc.oneof(
  fc.constantFrom(
    '',
    '1',
    '-7',
    'x'.repeat(70_000),
    'y'.repeat(300_000),
    '\r\n*1\r\n$4\r\nPING\r\n',
  ),
  fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
)
const count = fc.integer({ min: -3, max: 5 }).map(String)
const words = (...parts: (string | fc.Arbitrary<string>)[]) =>
  fc.tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part)))

const command = fc.oneof(
  words('SET', key, value),
  words('GET', key),
  words('gEt', key),
  words('MGET', key, key, key),
  words('APPEND', key, value),
  words('INCRBY', key, count),
  words('DEL', key, key),
  words('RPUSH', key, value, value),
  words('LRANGE', key, count, count),
  words('HSET', key, value, value),
  words('HGETALL', key),
  words('ZADD', key, count, value),
  words('ZRANGE', key, '0', '-1', 'WITHSCORES'),
  words('TYPE', key),
  words('ECHO', value),
  words('PING'),
  words('PING', value),
  words('NOSUCH', value),
  words('GET'),
  words('SELECT', fc.constantFrom('0', '1', '2', '99', 'x')),
  words('MULTI'),
  words('MULTI'),
  words('EXEC'),
  words('EXEC'),
  words('DISCARD'),
  words('WATCH', key),
  words('UNWATCH'),
  words('BLPOP', key, '0.01'),
  words('BLMOVE', key, key, 'LEFT', 'RIGHT', '0.01'),
  words('XADD', key, '*', 'f', value).map(() => ['XLEN', 'a']),
  words('XREAD', 'COUNT', '1', 'BLOCK', '5', 'STREAMS', key, '$'),
  words('CLIENT', 'SETNAME', fc.constantFrom('me', 'a b', '')),
  words('CLIENT', 'GETNAME'),
  words('CLIENT', 'NOSUCH'),
  words('EVAL', 'return {KEYS[1], {1, {2}}, redis.status_reply("x"), false}', '1', key),
  words('EVAL', 'return redis.error_reply("E " .. ARGV[1])', '0', value),
  words('WAIT', '0', '1'),
  words('RESET'),
  words('OBJECT', 'ENCODING', key),
  words('READONLY'),
)

const program = fc.record({
  isRESP3: fc.boolean(),
  commands: fc.array(command, { minLength: 1, maxLength: 40 }),
  cuts: fc.array(fc.nat(), { maxLength: 6 }),
})

test(`random programs give the server’s own replies (FUZZ_SEED=${seed})`, async (t) => {
  const [oracle, server] = [await startServer(), await startServer()]
  t.after(() => Promise.all([oracle.stop(), server.stop()]))
  const plane = await startPlane(t, configFor(server))
  const port = portOf(plane)
  await fc.assert(
    fc.asyncProperty(program, async ({ isRESP3, commands, cuts }) => {
      const bytes = Buffer.concat(commands.map(encodeCommand))
      await Promise.all([oracle.command('FLUSHALL'), server.command('FLUSHALL')])
      const expected = await run(t, oracle.port, { isRESP3, bytes, cuts })
      const actual = await run(t, port, { isRESP3, bytes, cuts })
      assert.equal(cropped(actual), cropped(expected))
    }),
    {
      seed,
      numRuns: runCount,
      interruptAfterTimeLimit: timeLimitMs,
      markInterruptAsFailure: false,
    },
  )
  assert.equal(plane.view().counters.commandsLost, 0)
})

interface Program {
  readonly isRESP3: boolean
  readonly bytes: Buffer
  readonly cuts: readonly number[]
}

/** Sends the program in pieces, closes the sending side and gives all that comes back. */
async function run(t: TestContext, port: number, program: Program): Promise<string> {
  const client: Client = await connect(t, port)
  if (program.isRESP3) {
    client.send(encodeCommand(['HELLO', '3']))
    await until('HELLO is answered', () => client.text().endsWith('modules\r\n*0\r\n'))
    client.received = Buffer.alloc(0)
  }
  const { bytes } = program
  const ends = [...program.cuts.map((cut) => cut % bytes.length), bytes.length]
  let start = 0
  for (const end of ends.toSorted((a, b) => a - b)) {
    client.socket.write(bytes.subarray(start, end))
    await new Promise((resolve) => setImmediate(resolve))
    start = end
  }
  // The end of the program is marked: a server that reads an end before may answer nothing more.
  const mark = 'end of the program'
  client.send(Buffer.concat([['ECHO', mark], ['EXEC'], ['QUIT']].map(encodeCommand)))
  return client.rest()
}

/** Long values are cut so that a difference can be read. */
function cropped(text: string): string {
  return text.replace(/(x{20}|y{20}){10,}/g, (run) => `(${run[0]} x ${run.length})`)
}
