/** What a primary refuses because it was made a replica does not reach its clients where another can take it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, type Socket, createConnection, createServer } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Client, type ConfigChanges, until } from '../sidecar/harness.ts'
import { demotedScene, nowhere, pipeline, warmUp } from './demoted-scene.ts'

const passed = (ms: number, since = performance.now()) =>
  until(`${ms} ms pass`, () => performance.now() - since >= ms)

test('writers notice a wait when the primary is made a replica and another is named', async (t) => {
  const scene = await demotedScene(t)
  const clients = await Promise.all(Array.from({ length: 8 }, scene.client))
  const end = new AbortController()
  const written = clients.map(async (client, index) => {
    let count = 0
    while (!end.signal.aborted) {
      count += 1
      const reply = await client.ask('RPUSH', `list:${index}`, String(count))
      assert.equal(reply, `:${count}\r\n`)
    }
    return count
  })
  await until('they write', () => scene.plane.view().counters.commands > 200)
  await scene.swap()
  await until('it is found out', () => scene.plane.view().primary === 'failing')
  scene.obey(scene.second)
  const before = scene.plane.view().counters.commands
  await until('they go on', () => scene.plane.view().counters.commands > before + 200)
  end.abort()
  const counts = await Promise.all(written)
  for (const [index, count] of counts.entries()) {
    assert.equal(await scene.second.command('LLEN', `list:${index}`), `:${count}\r\n`)
  }
  const { commandsLost, refusedByState, commandsSentAgain } = scene.plane.view().counters
  assert.equal(commandsLost, 0)
  assert.ok(refusedByState > 0 && commandsSentAgain >= refusedByState)
})

/** A relay that, once told, ends every connection when one refusal has passed. */
async function cutting(t: TestContext, port: number, isOn: () => boolean): Promise<number> {
  const sockets = new Set<Socket>()
  const endAll = () => {
    for (const socket of sockets) socket.destroySoon()
  }
  const relay = createServer((client) => {
    const server = createConnection({ port, host: '127.0.0.1', noDelay: true })
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', endOf(client, server))
    }
    client.pipe(server)
    server.on('data', (chunk: Buffer) => {
      const end = isOn() && chunk.includes('-READONLY') ? chunk.indexOf('\n') + 1 : undefined
      client.write(chunk.subarray(0, end))
      if (end !== undefined) endAll()
    })
  })
  relay.listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.after(() => relay.close())
  return (relay.address() as AddressInfo).port
}

const endOf =
  (...sockets: readonly Socket[]) =>
  () => {
    for (const socket of sockets) socket.destroy()
  }

for (const isolation of ['shared', 'perClient'] as const) {
  test(`what is lost behind a refusal is told apart from what was refused, ${isolation}`, async (t) => {
    let isCutting = false
    const changes = { upstream: { isolation } }
    const scene = await demotedScene(t, changes, (port) => cutting(t, port, () => isCutting))
    const [writing, reading] = [await scene.client(), await scene.client()]
    for (const client of [writing, reading]) await warmUp(client)
    await scene.swap()
    isCutting = true
    reading.send(pipeline(['INCR', 'n'], ['GET', 'n'], ['GET', 'n']))
    await until('it is found out', () => scene.plane.view().primary === 'failing')
    scene.obey(scene.second)
    assert.deepEqual(await reading.replies(3), [':1\r\n', '$1\r\n1\r\n', '$1\r\n1\r\n'])
    assert.equal(scene.plane.view().counters.commandsLost, 0)
  })

  test(`a write that is lost behind a refusal may have been run, ${isolation}`, async (t) => {
    let isCutting = false
    const changes = { upstream: { isolation } }
    const scene = await demotedScene(t, changes, (port) => cutting(t, port, () => isCutting))
    const client = await scene.client()
    await warmUp(client)
    await scene.swap()
    isCutting = true
    client.send(pipeline(['INCR', 'n'], ['INCR', 'n'], ['GET', 'n']))
    await until('it is found out', () => scene.plane.view().primary === 'failing')
    scene.obey(scene.second)
    const [refused, lost, read] = await client.replies(3)
    assert.match(refused ?? '', /^-READONLY You/)
    assert.match(lost ?? '', /^-PROXY RM_UPSTREAM_LOST/)
    assert.equal(read, '$-1\r\n')
  })
}

const variants: readonly {
  readonly name: string
  readonly changes?: ConfigChanges
  readonly begin?: (client: Client) => Promise<void>
}[] = [
  { name: 'over a shared connection' },
  { name: 'of its own', changes: { upstream: { isolation: 'perClient' } } },
  {
    name: 'in another database',
    begin: async (client) => assert.equal(await client.ask('SELECT', '3'), '+OK\r\n'),
  },
  {
    name: 'in RESP3',
    begin: async (client) => assert.match(await client.ask('HELLO', '3'), /^%/),
  },
  {
    name: 'with writes that wait for replicas',
    changes: { upstream: { writes: { waitReplicas: 1, waitTimeoutMs: 2000 } } },
  },
]

for (const { name, changes = {}, begin } of variants) {
  test(`a pipeline behind a refused write is run in order, ${name}`, async (t) => {
    const scene = await demotedScene(t, changes)
    const client = await scene.client()
    await begin?.(client)
    await warmUp(client)
    await scene.swap()
    client.send(
      pipeline(['RPUSH', 'l', 'a'], ['LLEN', 'l'], ['RPUSH', 'l', 'b'], ['LRANGE', 'l', '0', '-1']),
    )
    await until('it is found out', () => scene.plane.view().primary === 'failing')
    client.send(pipeline(['LLEN', 'l']))
    scene.obey(scene.second)
    const replies = await client.replies(5)
    assert.deepEqual(replies, [
      ':1\r\n',
      ':1\r\n',
      ':2\r\n',
      '*2\r\n$1\r\na\r\n$1\r\nb\r\n',
      ':2\r\n',
    ])
    assert.equal(await client.ask('RPUSH', 'l', 'c'), ':3\r\n')
    assert.equal(scene.plane.view().heldCommands, 0)
  })
}

test('what was answered before a refused write stays, and the rest is run at the next primary', async (t) => {
  const scene = await demotedScene(t)
  const client = await scene.client()
  assert.equal(await client.ask('SET', 'k', 'old'), '+OK\r\n')
  await warmUp(client)
  await scene.swap()
  client.send(pipeline(['GET', 'k'], ['SET', 'k', 'new'], ['GET', 'k']))
  assert.equal(await client.reply(), '$3\r\nold\r\n')
  scene.obey(scene.second)
  assert.deepEqual(await client.replies(2), ['+OK\r\n', '$3\r\nnew\r\n'])
})

test('a write before something that was run gets its refusal, since it would come after it', async (t) => {
  const scene = await demotedScene(t)
  const client = await scene.client()
  await warmUp(client)
  await scene.swap()
  client.send(
    pipeline(['SET', 'a', '1'], ['PUBLISH', 'news', 'x'], ['SET', 'b', '1'], ['GET', 'b']),
  )
  await until('it is found out', () => scene.plane.view().primary === 'failing')
  scene.obey(scene.second)
  const [set, ...others] = await client.replies(4)
  assert.match(set ?? '', /^-READONLY You can't write/)
  assert.deepEqual(others, [':0\r\n', '+OK\r\n', '$1\r\n1\r\n'])
  assert.equal(await scene.second.command('EXISTS', 'a'), ':0\r\n')
})

for (const isOwn of [true, false]) {
  test(`who wants to block waits at the next primary, ${isOwn ? 'with' : 'without'} a connection`, async (t) => {
    const scene = await demotedScene(t)
    const client = await scene.client()
    if (isOwn) assert.equal(await client.ask('BLPOP', 'l', '0.01'), '*-1\r\n')
    await scene.swap()
    client.send(pipeline(['BLPOP', 'l', '0']))
    await until('it is found out', () => scene.plane.view().primary === 'failing')
    scene.obey(scene.second)
    await until('it waits', async () => (await scene.second.info('blocked_clients')) === '1')
    await scene.second.command('RPUSH', 'l', 'x')
    assert.equal(await client.reply(), '*2\r\n$1\r\nl\r\n$1\r\nx\r\n')
  })
}

test('what a script or a transaction was refused is passed on', async (t) => {
  const scene = await demotedScene(t)
  const [scripting, inTransaction] = [await scene.client(), await scene.client()]
  assert.equal(await inTransaction.ask('MULTI'), '+OK\r\n')
  assert.equal(await scripting.ask('EVAL', 'return 1', '0'), ':1\r\n')
  await scene.swap()
  const script = "redis.call('PUBLISH', 'news', 'x') return redis.pcall('SET', 'k', 'v')"
  assert.match(await scripting.ask('EVAL', script, '1', 'k'), /^-READONLY/)
  await until('it is found out', () => scene.plane.view().primary === 'failing')
  assert.match(await inTransaction.ask('SET', 'k', 'v'), /^-PROXY RM_UPSTREAM_LOST/)
  assert.match(await inTransaction.ask('EXEC'), /^-EXECABORT/)
})

test('a transaction that meets its refusal before anyone else is left to its client', async (t) => {
  const scene = await demotedScene(t)
  const client = await scene.client()
  assert.equal(await client.ask('MULTI'), '+OK\r\n')
  await scene.swap()
  client.send(pipeline(['SET', 'k', 'v']))
  assert.match(await client.reply(), /^-READONLY/)
  assert.match(await client.ask('EXEC'), /^-EXECABORT/)
  scene.obey(scene.second)
  assert.equal(await client.ask('SET', 'k', 'v'), '+OK\r\n')
})

async function inVain(t: TestContext, isolation: 'shared' | 'perClient') {
  const holdTimeoutMs = 400
  const scene = await demotedScene(t, { timing: { holdTimeoutMs }, upstream: { isolation } })
  const [one, other] = [await scene.client(), await scene.client()]
  assert.equal(await one.ask('SET', 'k', 'v'), '+OK\r\n')
  await scene.first.command('REPLICAOF', ...nowhere)
  const start = performance.now()
  one.send(pipeline(['SET', 'k', 'w'], ['GET', 'k']))
  for (const reply of await one.replies(2)) assert.match(reply, /^-READONLY .*RM_HOLD_TIMEOUT/)
  assert.ok(performance.now() - start >= holdTimeoutMs - 10)
  return { ...scene, one, other }
}

for (const isolation of ['shared', 'perClient'] as const) {
  test(`where no other primary comes the wait is paid once, isolation ${isolation}`, async (t) => {
    const { first, plane, one, other } = await inVain(t, isolation)
    await passed(100)
    const heldBefore = plane.view().counters.commandsHeldTooLong
    const start = performance.now()
    for (let count = 0; count < 10; count += 1) {
      assert.match(await other.ask('SET', 'k', 'w'), /^-READONLY .*RM_HOLD_TIMEOUT/)
    }
    assert.ok(performance.now() - start < 2000, 'ten times the wait would be longer')
    assert.equal(plane.view().counters.commandsHeldTooLong, heldBefore + 10)
    await first.command('REPLICAOF', 'NO', 'ONE')
    await until('it is taken back', () => plane.view().primary === 'ok')
    assert.equal(await one.ask('GET', 'k'), '$1\r\nv\r\n')
    assert.equal(await other.ask('SET', 'k', 'w'), '+OK\r\n')
  })
}

test('a primary that refuses and is one all the same is believed for a while', async (t) => {
  const scene = await demotedScene(t)
  const client = await scene.client()
  const text = 'READONLY Can not run script with write flag on readonly replica.'
  const script = `redis.call('INCR', 'runs') return redis.error_reply('${text}')`
  const run = () => client.ask('EVAL', script, '1', 'runs')
  assert.equal(await run(), `-${text}\r\n`)
  assert.equal(await client.ask('GET', 'runs'), '$1\r\n2\r\n', 'it was sent again once')
  const start = performance.now()
  for (let count = 0; count < 20; count += 1) assert.equal(await run(), `-${text}\r\n`)
  assert.ok(performance.now() - start < 2500)
  const [, runs = ''] = (await client.ask('GET', 'runs')).split('\r\n')
  assert.ok(Number(runs) >= 22 && Number(runs) <= 25, runs)
})

test('a script that finds no open connection is run at the next primary', async (t) => {
  const scene = await demotedScene(t)
  const client = await scene.client()
  await scene.swap()
  client.send(pipeline(['EVAL', "return redis.call('INCR', 'n')", '1', 'n']))
  await until('it is found out', () => scene.plane.view().primary === 'failing')
  scene.obey(scene.second)
  assert.equal(await client.reply(), ':1\r\n')
})

test('replies to CLIENT REPLY SKIP keep their number', async (t) => {
  const scene = await demotedScene(t)
  const client = await scene.client()
  await warmUp(client)
  await scene.swap()
  client.send(pipeline(['CLIENT', 'REPLY', 'SKIP'], ['SET', 'a', '1'], ['ECHO', 'x']))
  await until('it is found out', () => scene.plane.view().primary === 'failing')
  scene.obey(scene.second)
  assert.equal(await client.reply(), '$1\r\nx\r\n')
  assert.equal(await client.ask('SET', 'b', '1'), '+OK\r\n')
})
