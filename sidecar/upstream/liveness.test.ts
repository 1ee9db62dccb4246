import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  livenessLateMs,
  livenessTickMs,
  serverHungMs,
  serverStallMs,
  silentHoldMs,
} from '../../common/limits.ts'
import { Liveness, type Supervised } from './liveness.ts'

/** A server that owes a reply and says nothing, and a clock. */
class SilentServer implements Supervised {
  inFlightCommands = 1
  pinnedCount = 0
  owesPinned = false
  bytesRead = 0
  failure: string | undefined
  canBeAsked = true
  isThere = true
  pingCount = 0
  readonly found: string[] = []
  /** What is told to those who have not sent yet, and to those who decide. */
  readonly signs: string[] = []
  nowMs = 0
  readonly liveness = new Liveness(this, {
    onQuiet: (isQuiet) => this.sign(isQuiet ? 'quiet' : 'speaks'),
    onDoubt: (isDoubted) => this.sign(isDoubted ? 'doubted' : 'trusted'),
  })

  private sign(sign: string): void {
    const isNews = ['speaks', 'trusted'].includes(sign) ? this.signs.length > 0 : true
    if (isNews && this.signs.at(-1) !== sign) this.signs.push(sign)
  }

  ping(): Promise<unknown> | undefined {
    if (!this.canBeAsked) return undefined
    this.pingCount += 1
    return new Promise(() => {})
  }

  async isReachable(): Promise<boolean> {
    return this.isThere
  }

  onStall(isStalled: boolean): void {
    this.found.push(isStalled ? 'stalled' : 'goes on')
  }

  onHung(_silentMs: number, isReachable: boolean): void {
    this.found.push(isReachable ? 'hung' : 'unreachable')
  }

  /** Looks at intervals of `everyMs`, for `forMs`. */
  async look(forMs: number, everyMs = livenessTickMs): Promise<void> {
    for (const endMs = this.nowMs + forMs; this.nowMs < endMs; ) {
      this.nowMs += everyMs
      this.liveness.tick(this.nowMs)
      // What a connection told is known by the next look.
      await Promise.resolve()
    }
  }
}

const nearlyMs = 2 * livenessTickMs
const untilStallMs = silentHoldMs + serverStallMs
const untilHungMs = silentHoldMs + serverHungMs

test('a silent server is asked, then sent no more, then given up', async () => {
  const server = new SilentServer()
  await server.look(silentHoldMs - nearlyMs)
  assert.equal(server.pingCount, 0)
  await server.look(2 * nearlyMs)
  assert.equal(server.pingCount, 1)
  await server.look(serverStallMs - 3 * nearlyMs)
  assert.deepEqual(server.found, [])
  await server.look(4 * nearlyMs)
  assert.deepEqual(server.found, ['stalled'])
  await server.look(serverHungMs)
  assert.deepEqual(server.found.slice(0, 3), ['stalled', 'goes on', 'hung'])
  assert.equal(server.pingCount, 1, 'an unanswered question is not repeated')
})

test('one byte tells that it lives', async () => {
  const server = new SilentServer()
  await server.look(untilStallMs + 2 * nearlyMs)
  server.bytesRead = 1
  await server.look(livenessTickMs)
  assert.deepEqual(server.found, ['stalled', 'goes on'])
  await server.look(serverStallMs - nearlyMs)
  assert.equal(server.found.length, 2)
})

test('time in which this process did not run counts for nothing, once or again and again', async () => {
  const server = new SilentServer()
  server.isThere = false
  for (let times = 0; times < 100; times += 1) {
    await server.look(5000, 5000)
    await server.look(serverStallMs / 100, livenessTickMs)
    server.bytesRead += 1
  }
  await server.look(untilHungMs, livenessLateMs + 1)
  assert.deepEqual(server.found, [])
})

test('a connection that failed while this process did not run tells nothing', async () => {
  const server = new SilentServer()
  server.isThere = false
  await server.look(untilStallMs)
  for (let times = 0; times < 20; times += 1) {
    await server.look(livenessTickMs)
    await server.look(5000, 5000)
  }
  assert.deepEqual(server.found, ['stalled'])
  await server.look(5 * livenessTickMs)
  assert.deepEqual(server.found, ['stalled', 'goes on', 'unreachable'])
})

test('a server that was never asked is not given up, unless no connection to ask it can be had', async () => {
  const server = new SilentServer()
  server.canBeAsked = false
  await server.look(2 * untilHungMs)
  assert.deepEqual(server.found, [])
  server.failure = 'RM_UPSTREAM_TIMEOUT'
  await server.look(untilStallMs)
  assert.deepEqual(server.found, ['stalled'])
  await server.look(serverHungMs)
  assert.deepEqual(server.found.slice(0, 3), ['stalled', 'goes on', 'hung'])
})

test('a server that owes nothing is asked nothing', async () => {
  const server = new SilentServer()
  server.inFlightCommands = 0
  await server.look(2 * untilHungMs)
  assert.equal(server.pingCount, 0)
  assert.deepEqual(server.found, [])
})

test('a silent server is held back for, and doubted once it did not answer when asked', async () => {
  const server = new SilentServer()
  await server.look(silentHoldMs)
  assert.equal(server.signs.length, 0)
  await server.look(livenessTickMs)
  assert.deepEqual(server.signs, ['quiet'])
  await server.look(livenessTickMs)
  assert.deepEqual(server.signs.slice(0, 2), ['quiet', 'doubted'])
  server.signs.splice(0)
  server.signs.push('silent')
  server.bytesRead += 1
  await server.look(livenessTickMs)
  assert.deepEqual(server.signs, ['silent', 'trusted', 'speaks'])
})

test('a server that says something from time to time is never held back for', async () => {
  const server = new SilentServer()
  for (let times = 0; times < 20; times += 1) {
    await server.look(silentHoldMs - livenessTickMs)
    server.bytesRead += 1
    await server.look(livenessTickMs)
  }
  assert.equal(server.signs.length, 0)
})

test('clients that wait at the server are no sign, those that are owed a reply are', async () => {
  const server = new SilentServer()
  server.inFlightCommands = 0
  server.pinnedCount = 1
  await server.look(5 * silentHoldMs)
  assert.equal(server.signs.length, 0)
  server.owesPinned = true
  await server.look(silentHoldMs + nearlyMs)
  assert.equal(server.signs[0], 'quiet')
})

test('a server that owes nothing is doubted when it was asked and is silent', async () => {
  const server = new SilentServer()
  server.inFlightCommands = 0
  await server.look(silentHoldMs)
  server.liveness.ask()
  await server.look(silentHoldMs + nearlyMs)
  assert.deepEqual(server.signs.slice(0, 2), ['quiet', 'doubted'])
  assert.equal(server.pingCount, 1)
})
