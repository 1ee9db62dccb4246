import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  liveCommandAbsentMs,
  liveCommandWaitMs,
  liveCommandsMax,
  liveNameLengthMax,
} from '../../common/limits.ts'
import type { Reply } from '../resp/decode.ts'
import { LiveCommands } from './live-commands.ts'

const text = (value: string): Reply => ({ kind: 'text', text: value })
const list = (items: readonly Reply[]): Reply => ({ kind: 'list', items })
const number: Reply = { kind: 'number', value: 1 }

/** What COMMAND INFO says of one command. */
function info(name: string, flags: string, categories = '', parts: readonly Reply[] = []): Reply {
  const words = (all: string) => list(all.split(' ').filter(Boolean).map(text))
  const head = [text(name), number, words(flags), number, number, number]
  return list([...head, words(categories), list([]), list([]), list(parts)])
}

class Server {
  readonly asked: string[] = []
  now = 0
  changes = 0
  commands = new Map<string, Reply>()
  error: Reply | undefined
  isConnected = true
  readonly live = new LiveCommands({
    clock: { monotonicMs: () => this.now, nowMs: () => this.now } as never,
    onChange: () => {
      this.changes += 1
    },
    ask: (request) => {
      const words = request
        .toString()
        .split('\r\n')
        .filter((_, index) => index % 2 === 0)
        .slice(1)
      if (!this.isConnected) return undefined
      this.asked.push(words.join(' '))
      return Promise.resolve([this.error ?? this.answer(words)])
    },
  })

  private answer([, question, ...names]: readonly string[]): Reply {
    if (question === 'LIST')
      return list(['get', 'config', 'config|get', ...this.commands.keys()].map(text))
    return list(names.map((name) => this.commands.get(name) ?? { kind: 'null' }))
  }
}

test('what a server has besides the table is asked at once and by its flags', async () => {
  const server = new Server()
  server.commands = new Map([
    ['m.pop', info('m.pop', 'write blocking module')],
    ['m.follow', info('m.follow', 'pubsub noscript module')],
    ['m.config', info('m.config', 'admin module', '@admin', [info('m.config|set', 'admin')])],
    ['M.GET', info('M.GET', 'readonly module')],
  ])
  await server.live.refresh()
  assert.deepEqual(server.asked, ['COMMAND LIST', 'COMMAND INFO m.pop m.follow m.config M.GET'])
  assert.equal(server.live.find('M.POP')?.kind, 'blocking')
  assert.equal(server.live.find('M.FOLLOW')?.kind, 'raw')
  assert.deepEqual(server.live.find('M.CONFIG'), {
    name: 'M.CONFIG',
    kind: undefined,
    isContainer: true,
    isAdmin: true,
  })
  assert.deepEqual(server.live.ordinaryNames(), ['M.GET'])
  assert.equal(server.changes, 1)
  assert.equal(server.live.lookUp('M.POP'), undefined, 'it is known')
})

test('a name that was not told is asked for when it is met, and is the command that it was', async () => {
  const server = new Server()
  await server.live.refresh()
  server.commands.set('WAITPOP', info('blpop', 'write blocking'))
  await server.live.lookUp('WAITPOP')
  assert.equal(server.live.find('WAITPOP')?.name, 'BLPOP')
  assert.equal(server.live.find('WAITPOP')?.kind, 'blocking')
  assert.deepEqual(server.live.ordinaryNames(), [], 'a renamed one has to be looked at')
  assert.equal(server.live.lookUp('GET'), undefined, 'what the table knows is not asked')
  assert.equal(server.live.lookUp('X'.repeat(liveNameLengthMax + 1)), undefined)
})

test('what a server does not have is asked again only after a while', async () => {
  const server = new Server()
  await server.live.lookUp('NONE')
  assert.equal(server.live.find('NONE'), undefined)
  assert.equal(server.live.lookUp('NONE'), undefined)
  server.now = liveCommandAbsentMs + 1
  server.commands.set('NONE', info('none', 'blocking'))
  await server.live.lookUp('NONE')
  assert.equal(server.live.find('NONE')?.kind, 'blocking')
})

test('a server that is busy is asked again soon, and never in a circle', async () => {
  const server = new Server()
  server.error = { kind: 'error', text: 'BUSY Redis is busy running a script' }
  await server.live.refresh()
  await server.live.lookUp('WAITPOP')
  assert.equal(server.live.lookUp('WAITPOP'), undefined)
  server.now = liveCommandAbsentMs / 2
  assert.notEqual(server.live.lookUp('WAITPOP'), undefined)
})

test('while no server can be asked a name waits for one, but not for ever', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const server = new Server()
  server.isConnected = false
  server.commands.set('M.POP', info('m.pop', 'blocking'))
  const waiting = server.live.lookUp('M.POP')
  server.isConnected = true
  await server.live.refresh()
  await waiting
  assert.equal(server.live.find('M.POP')?.kind, 'blocking')
  server.isConnected = false
  const inVain = server.live.lookUp('OTHER')
  t.mock.timers.tick(liveCommandWaitMs)
  await inVain
  assert.equal(server.live.lookUp('OTHER'), undefined, 'it is passed on')
})

test('another server’s commands are forgotten, also those still on their way', async () => {
  const server = new Server()
  server.commands.set('M.POP', info('m.pop', 'blocking'))
  const late = server.live.lookUp('M.POP')
  await server.live.refresh()
  await late
  assert.equal(server.live.find('M.POP')?.kind, 'blocking', 'the new one has it too')
  server.commands.clear()
  await server.live.refresh()
  assert.equal(server.live.find('M.POP'), undefined)
})

test('no more names are kept than the bound says', async () => {
  const server = new Server()
  for (let index = 0; index <= liveCommandsMax; index += 1) {
    server.commands.set(`N${index}`, info(`n${index}`, 'blocking'))
    await server.live.lookUp(`N${index}`)
  }
  assert.equal(server.live.find('N0'), undefined)
  assert.equal(server.live.find('N1')?.kind, 'blocking')
  assert.equal(server.live.find(`N${liveCommandsMax}`)?.kind, 'blocking')
})
