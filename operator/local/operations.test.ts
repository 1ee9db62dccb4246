/** The desk of a laptop, and what it knows of the ends of its own servers. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { localOperationsMax, localOperationsWaitingMax } from '../../common/limits.ts'
import { Child } from './child.ts'
import { Guard } from './guard.ts'
import { LocalOperations } from './operations.ts'

const key = 'default/cache'
const wanted = { kind: 'Switchover', accept: [] } as const

test('an operation is pending until its end is reported, and then only remembered', () => {
  const desk = new LocalOperations(key)
  const heard: string[] = []
  desk.onChange((proxy) => heard.push(proxy))
  const name = desk.ask(wanted) ?? ''
  assert.deepEqual(heard, [key])
  assert.equal(desk.find(name)?.phase, 'Pending')
  const running = { name, phase: 'Running', message: 'held', startedAt: '' } as const
  desk.report(key, running)
  assert.equal(desk.pending(key)[0]?.name, name)
  desk.report(key, { ...running, phase: 'Succeeded' })
  assert.deepEqual(desk.pending(key), [])
  desk.report(key, { ...running, phase: 'Failed' })
  assert.equal(desk.find(name)?.phase, 'Succeeded', 'what has ended stays as it ended')
  assert.deepEqual(desk.pending('default/other'), [])
})

test('only so many wait, and only so many are remembered', () => {
  const desk = new LocalOperations(key)
  const first = desk.ask(wanted) ?? ''
  for (let count = 1; count < localOperationsWaitingMax; count += 1) desk.ask(wanted)
  assert.equal(desk.ask(wanted), undefined)
  for (let count = 0; count < localOperationsMax; count += 1) {
    const [oldest] = desk.pending(key)
    const name = oldest?.name ?? ''
    desk.report(key, { name, phase: 'Succeeded', message: '', startedAt: '' })
    assert.notEqual(desk.ask(wanted), undefined)
  }
  assert.equal(desk.find(first), undefined)
})

test('a child knows since when its process runs, and that none does', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-child-'))
  const guard = new Guard(directory)
  context.after(async () => {
    await guard.stop()
    rmSync(directory, { recursive: true, force: true })
  })
  const { promise: exited, resolve } = Promise.withResolvers<string>()
  const child = new Child(
    {
      name: 'sleeper',
      program: process.execPath,
      args: () => ['-e', 'setInterval(() => {}, 1000)'],
      env: {},
      logFile: join(directory, 'log'),
      restartAfterMs: 3_600_000,
    },
    { guard, events: { onStart: () => {}, onExit: resolve } },
  )
  context.after(() => child.stop())
  assert.deepEqual([child.hasRun, child.runsSinceMs], [false, undefined])
  await child.start()
  assert.ok((child.runsSinceMs ?? 0) > 0)
  child.signal('SIGKILL')
  assert.equal(await exited, 'SIGKILL')
  assert.deepEqual([child.hasRun, child.runsSinceMs], [true, undefined])
})
