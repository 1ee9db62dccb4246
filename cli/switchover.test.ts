/** `respmesh switchover` against a page that answers as the one of `respmesh up` does. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { parseManifests } from '../operator/api/manifest.ts'
import {
  type AskedOperation,
  type ConsoleOperation,
  type ConsoleState,
  startConsole,
} from '../operator/console/index.ts'
import { switchover } from './switchover.ts'

const state: ConsoleState = {
  name: 'default/cache',
  ready: { status: 'True', reason: 'Ready', message: 'fine' },
  phase: 'Steady',
  epoch: 2,
  members: [],
  sidecars: [],
  events: [],
  canAct: true,
  canSwitch: true,
  lastFailover: {
    kind: 'Switchover',
    from: 'a:1',
    to: 'b:1',
    reason: 'asked for',
    completedAt: '2026-03-01T10:00:00Z',
    durationMs: 7,
    lostBytes: 0,
  },
}

async function up(context: TestContext, story: readonly Omit<ConsoleOperation, 'name'>[]) {
  const asked: AskedOperation[] = []
  let looks = 0
  const page = await startConsole(0, {
    state: () => state,
    onChange: () => () => {},
    kill: () => false,
    startAgain: async () => false,
    ask: (operation) => {
      asked.push(operation)
      return 'switchover-1'
    },
    operation: (name) => {
      const told = story[Math.min(looks, story.length - 1)]
      looks += 1
      return told && { name, ...told }
    },
  })
  context.after(() => page.stop())
  const out = context.mock.method(console, 'log', () => {})
  const err = context.mock.method(console, 'error', () => {})
  const lines = (mock: typeof out) => mock.mock.calls.map((call) => String(call.arguments[0]))
  const args = ['--console', page.url.replace('http://', '')]
  return { args, asked, out: () => lines(out), err: () => lines(err) }
}

const running = { phase: 'Running', message: 'a:1 hands over to b:1' } as const

test('it tells how it goes and what came of it, and ends with 0', async (context) => {
  const { args, asked, out, err } = await up(context, [
    { phase: 'Pending', message: 'it waits' },
    running,
    running,
    { phase: 'Succeeded', message: 'done' },
  ])
  assert.equal(await switchover(['cache', '--to', 'b:1', ...args]), 0)
  assert.deepEqual(asked, [{ kind: 'Switchover', to: 'b:1', accept: [] }])
  assert.deepEqual(err(), ['pending: it waits', 'running: a:1 hands over to b:1'])
  assert.deepEqual(out(), ['a:1 → b:1, held for 7 ms, bytes lost 0'])
})

test('one that fails, or does not end in time, ends with 1 and says why', async (context) => {
  const { args, err } = await up(context, [{ phase: 'Failed', message: 'b:1 is behind' }])
  assert.equal(await switchover(args), 1)
  assert.match(err().at(-1) ?? '', /not done: b:1 is behind/)
  const slow = await up(context, [running])
  assert.equal(await switchover([...slow.args, '--wait', '100ms']), 1)
  assert.match(slow.err().at(-1) ?? '', /has not ended within 100 ms/)
})

test('what the page refuses is an error with its reason', async (context) => {
  const { args } = await up(context, [running])
  const refused = (more: readonly string[]) => switchover([...more, ...args])
  await assert.rejects(refused(['queue']), { code: 'RM_STATUS', message: /there is no queue here/ })
  await assert.rejects(refused(['--to', 'b']), { code: 'RM_STATUS', message: /spec\.to/ })
})

test('mistakes on the command line are told, and an absent page', async () => {
  await assert.rejects(switchover(['a', 'b']), { code: 'RM_USAGE' })
  await assert.rejects(switchover(['--wait', 'long']), { code: 'RM_USAGE' })
  await assert.rejects(switchover(['--yaml']), { code: 'RM_USAGE' })
  await assert.rejects(switchover(['--console', '127.0.0.1:1']), { code: 'RM_STATUS' })
})

test('--yaml prints what kubectl can create, and nothing that the API would refuse', async (context) => {
  const out = context.mock.method(console, 'log', () => {})
  assert.equal(await switchover(['cache', '--to', 'redis-1.redis:6379', '--yaml']), 0)
  const text = String(out.mock.calls[0]?.arguments[0])
  assert.match(text, /generateName: cache-switchover-/)
  const { operations } = parseManifests(text, 'printed')
  const expected = { kind: 'Switchover', proxy: 'cache', to: 'redis-1.redis:6379', accept: [] }
  assert.deepEqual(operations, [expected])
  await assert.rejects(switchover(['Not A Name', '--yaml']), { code: 'RM_CONFIG_INVALID' })
})
