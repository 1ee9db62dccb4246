/** Commands that are refused by default never reach the server, however they are written and wherever they come. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import {
  type Client,
  type Rig,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  startRig,
} from './harness.ts'

const refusedCommands = `
  SHUTDOWN NOSAVE | DEBUG SLEEP 0 | DEBUG SEGFAULT | DEBUG SET-ACTIVE-EXPIRE 0 | CONFIG SET maxmemory 1mb
  CONFIG REWRITE | CONFIG RESETSTAT | CONFIG GET requirepass | CONFIG GET * | MODULE LOAD /tmp/x.so
  MODULE LOADEX /tmp/x.so | MODULE UNLOAD x | REPLICAOF 127.0.0.1 1 | SLAVEOF 127.0.0.1 1 | SYNC | PSYNC ? -1
  REPLCONF listening-port 1 | MIGRATE 127.0.0.1 1 k 0 1 | FAILOVER ABORT | ACL SETUSER eve on nopass ~* +@all
  ACL DELUSER default | ACL LOAD | ACL SAVE | ACL LOG RESET | ACL GETUSER default | ACL LIST | ACL USERS
  ACL DRYRUN default get k | RESTORE k 0 payload | RESTORE-ASKING k 0 payload | MONITOR | CLUSTER RESET
  CLUSTER FORGET x | CLUSTER MEET 127.0.0.1 1 | CLUSTER ADDSLOTS 1 | CLUSTER DELSLOTS 1 | CLUSTER FAILOVER
  CLUSTER REPLICATE x | CLUSTER SETSLOT 1 STABLE | CLUSTER SAVECONFIG | CLUSTER BUMPEPOCH | CLUSTER FLUSHSLOTS
  CLUSTER SET-CONFIG-EPOCH 1 | CLUSTER ADDSLOTSRANGE 1 2 | CLUSTER DELSLOTSRANGE 1 2 | BGREWRITEAOF | BGSAVE | SAVE
  CLIENT KILL TYPE normal | CLIENT PAUSE 1 | CLIENT UNPAUSE | LATENCY RESET | SLOWLOG RESET
  COMMANDLOG RESET 0 slow | PFDEBUG ENCODING k | PFSELFTEST | SCRIPT DEBUG YES | TRIMSLOTS x
`
const commands = refusedCommands
  .split(/[|\n]/)
  .map((text) => text.trim().split(/\s+/))
  .filter(([name]) => name !== '')

const mixed = (word: string) =>
  Array.from(word, (letter, at) => (at % 2 ? letter.toLowerCase() : letter.toUpperCase())).join('')
const spelled = (words: readonly string[], spell: (word: string) => string) =>
  words.map((word, index) => (index < 2 ? spell(word) : word))
const refusal = /^-NOPERM '[a-z|-]+' .*RM_COMMAND_REFUSED.*\r\n$/

/** Runs every command on a connection of its own and sees that the server has heard of none. */
async function eachCommand(
  t: TestContext,
  run: (rig: Rig, words: readonly string[]) => Promise<void>,
): Promise<void> {
  const rig = await startRig(t, {}, { args: ['--maxmemory', '50mb'] })
  await rig.server.command('SET', 'k', 'kept')
  const before = await stateOf(rig)
  for (const words of commands) await run(rig, words)
  assert.equal(await stateOf(rig), before)
  const stats = await rig.server.command('INFO', 'commandstats')
  const heard = commands.filter(([name = '', sub = '']) => {
    const paths = [name, `${name}|${sub}`].map((path) => `cmdstat_${path.toLowerCase()}:`)
    return paths.some((path) => stats.includes(path)) && !/^(CONFIG|ACL)$/.test(name)
  })
  assert.deepEqual(heard, [])
}

/** What the commands would change; asked by CONFIG GET and ACL LIST themselves. */
async function stateOf({ server }: Rig): Promise<string> {
  const settings = await server.command('CONFIG', 'GET', 'maxmemory')
  const users = await server.command('ACL', 'LIST')
  const keys = await server.command('KEYS', '*')
  return [server.pid, await server.info('role'), settings, users, keys].join()
}

const spellings: Readonly<Record<string, (word: string) => string>> = {
  'as it is': (word) => word,
  'in lower case': (word) => word.toLowerCase(),
  'in mixed case': mixed,
}

for (const [how, spell] of Object.entries(spellings)) {
  test(`harmful commands are refused, written ${how}`, async (t) => {
    let client: Client | undefined
    await eachCommand(t, async (rig, words) => {
      client ??= await rig.client()
      assert.match(await client.ask(...spelled(words, spell)), refusal, words.join(' '))
    })
    assert.equal(await client?.ask('GET', 'k'), '$4\r\nkept\r\n')
  })
}

test('harmful commands are refused inline', async (t) => {
  await eachCommand(t, async (rig, words) => {
    const client = await rig.client()
    client.send(`${spelled(words, mixed).join('  ')}\r\nPING\n`)
    const [reply = '', pong] = await client.replies(2)
    assert.match(reply, refusal, words.join(' '))
    assert.equal(pong, '+PONG\r\n')
    client.socket.destroy()
  })
})

test('harmful commands are refused in a pipeline, in their place', async (t) => {
  await eachCommand(t, async (rig, words) => {
    const client = await rig.client()
    const all = [['GET', 'k'], words, ['ECHO', 'a'], words, ['ECHO', 'b']]
    client.send(all.map(encodeCommand).join(''))
    const replies = await client.replies(all.length)
    assert.match(replies[1] ?? '', refusal, words.join(' '))
    assert.match(replies[3] ?? '', refusal, words.join(' '))
    assert.deepEqual(
      [replies[0], replies[2], replies[4]],
      ['$4\r\nkept\r\n', '$1\r\na\r\n', '$1\r\nb\r\n'],
    )
    client.socket.destroy()
  })
})

test('a harmful command in a transaction is refused and aborts it', async (t) => {
  await eachCommand(t, async (rig, words) => {
    const client = await rig.client()
    const all = [['MULTI'], ['SET', 'other', 'v'], spelled(words, mixed), ['EXEC'], ['PING']]
    client.send(all.map(encodeCommand).join(''))
    const [multi, set, refused = '', exec = '', pong] = await client.replies(all.length)
    assert.deepEqual([multi, set, pong], ['+OK\r\n', '+QUEUED\r\n', '+PONG\r\n'])
    assert.match(refused, refusal, words.join(' '))
    assert.match(exec, /^-EXECABORT/, words.join(' '))
    client.socket.destroy()
  })
})

test('a NUL makes no harmful command pass', async (t) => {
  await eachCommand(t, async (rig, words) => {
    const [name = '', second, ...rest] = words
    const forms = [
      [`${name}\0`, ...words.slice(1)],
      [`\0${name}`, ...words.slice(1)],
      ...(second === undefined ? [] : [[name, `${second}\0`, ...rest]]),
      ...(second === undefined ? [] : [[name, `${second}\0x`, ...rest]]),
    ]
    const client = await rig.client()
    client.send(forms.map(encodeCommand).join(''))
    for (const [index, reply] of (await client.replies(forms.length)).entries()) {
      assert.match(reply, /^-(NOPERM|ERR unknown)/, JSON.stringify(forms[index]))
    }
    client.send(`${name.slice(0, 2)}\0${name.slice(2)} ${words.slice(1).join(' ')}\r\n`)
    assert.match(await client.rest(), /^-ERR Protocol error/)
  })
})

test('a name that a server may read up to a NUL never reaches it', async (t) => {
  const rig = await startRig(t)
  const client = await rig.client()
  // Length, first and last letter are those of ordinary commands: CLUSTERSCAN, BITFIELD_RO.
  const forms = Array.from({ length: 3000 }, (_, index) => {
    const middle = index.toString(36).padStart(3, '0')
    const isConfig = index % 2 === 0
    return isConfig
      ? [`CONFIG\0${middle}N`, 'SET', 'maxmemory', '1mb']
      : [`BLPOP\0${middle}XO`, 'nothing', '0']
  })
  for (let at = 0; at < forms.length; at += 100) {
    client.send(
      forms
        .slice(at, at + 100)
        .map(encodeCommand)
        .join(''),
    )
    for (const reply of await client.replies(100)) assert.match(reply, /^-ERR unknown command/)
  }
  const transaction = [['MULTI'], ['CONFIG\0x', 'RESETSTAT'], ['EXEC']]
  client.send(transaction.map(encodeCommand).join(''))
  assert.match((await client.replies(3)).join(''), /^\+OK\r\n-ERR unknown[^\r]*\r\n-EXECABORT/)
  client.send(encodeCommand([`CONFIG\0${'x'.repeat(100)}`, 'SET', 'dir', 'x'.repeat(400_000)]))
  assert.match(await client.rest(), /^-ERR Protocol error/)
  const stats = await rig.server.command('INFO', 'commandstats')
  assert.doesNotMatch(stats, /cmdstat_(config|blpop)/)
})

test('a refused command of any size is not passed on', async (t) => {
  const rig = await startRig(t)
  const client = await rig.client()
  client.send(encodeCommand(['RESTORE', 'large', '0', 'x'.repeat(1_000_000), 'REPLACE']))
  assert.match(await client.rest(), /^-ERR Protocol error: .*RM_COMMAND_REFUSED/)
  assert.doesNotMatch(await rig.server.command('INFO', 'commandstats'), /cmdstat_restore/)
})

test('what the configuration allows by name reaches the server, and only that', async (t) => {
  const rig = await startRig(t, {
    commands: { allow: ['config|set', 'debug', 'monitor', 'restore'] },
  })
  const client = await rig.client()
  assert.equal(await client.ask('config', 'SET', 'maxmemory', '60mb'), '+OK\r\n')
  assert.match(await client.ask('CONFIG', 'GET', 'maxmemory'), /62914560/)
  assert.equal(await client.ask('DEBUG', 'SLEEP', '0'), '+OK\r\n')
  assert.match(await client.ask('CONFIG', 'RESETSTAT'), refusal)
  assert.match(await client.ask('RESTORE', 'k', '0', 'x'.repeat(300_000)), /^-ERR (Bad|DUMP)/)
})

test('a changed policy holds for clients that are connected', async (t) => {
  const rig = await startRig(t)
  const plane = await startPlane(t, configFor(rig.server))
  const client = await connect(t, portOf(plane))
  assert.match(await client.ask('CONFIG', 'RESETSTAT'), refusal)
  await plane.apply(configFor(rig.server, { version: 2, commands: { allow: ['config'] } }))
  assert.equal(await client.ask('CONFIG', 'RESETSTAT'), '+OK\r\n')
  await plane.apply(
    configFor(rig.server, { version: 3, commands: { deny: ['*'], allow: ['get'] } }),
  )
  assert.equal(await client.ask('GET', 'k'), '$-1\r\n')
  assert.match(await client.ask('SET', 'k', 'v'), /^-NOPERM 'set'/)
  assert.match(await client.ask('EVAL', 'return 1', '0'), /^-NOPERM 'eval'/)
  await plane.apply(configFor(rig.server, { version: 4 }))
  assert.equal(await client.ask('SET', 'k', 'v'), '+OK\r\n')
})

test('a client that has not logged in learns nothing of the policy', async (t) => {
  const users = [{ password: { env: 'POLICY_TEST_PASSWORD' } }]
  process.env['POLICY_TEST_PASSWORD'] = 'secret'
  const rig = await startRig(t, { clientAuth: { users }, commands: { deny: ['*'] } })
  const client = await rig.client()
  assert.match(await client.ask('SHUTDOWN'), /^-NOAUTH/)
  assert.match(await client.ask('GET', 'k'), /^-NOAUTH/)
  assert.equal(await client.ask('AUTH', 'secret'), '+OK\r\n')
  assert.match(await client.ask('GET', 'k'), /^-NOPERM/)
})
