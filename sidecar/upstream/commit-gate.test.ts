import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { withheldBytesMax } from '../../common/limits.ts'
import { encodeCommand } from '../resp/encode.ts'
import { CommitGate } from './commit-gate.ts'
import type { ProtocolVersion } from './connection.ts'

const unconfirmed = (count: number, wanted = 1) =>
  `-RM_UNCONFIRMED ${count} of ${wanted} replicas confirmed the write in time; it was run and may be lost in a failover\r\n`

class Rig {
  readonly rule = { waitReplicas: 1, waitTimeoutMs: 100 }
  readonly counters = { commits: 0, commitMicros: 0, writesUnconfirmed: 0, commitsTooLarge: 0 }
  readonly gate: CommitGate
  given = ''
  drains = 0
  isEnded = false
  private nowMs = 0

  constructor(protocol: ProtocolVersion = 2) {
    const { rule, counters } = this
    const modules = { rule, counters, nowMs: () => (this.nowMs += 2) }
    this.gate = new CommitGate(modules, protocol, () => {
      this.isEnded = true
    })
    this.gate.setOwner({
      onData: (bytes) => {
        this.given += bytes.toString('latin1')
      },
      onDrain: () => {
        this.drains += 1
      },
      onClosed: () => {},
    })
  }

  /** Sends commands together; gives what goes to the server, a line for each command. */
  send(...commands: readonly string[]): string[] | undefined {
    const bytes = Buffer.concat(commands.map((command) => encodeCommand(command.split(' '))))
    const sent = this.gate.outgoing(bytes)?.toString('latin1')
    return sent
      ?.split('*')
      .slice(1)
      .map((frame) =>
        frame
          .split('\r\n')
          .slice(2, -1)
          .filter((_, index) => index % 2 === 0)
          .join(' '),
      )
      .filter((command) => command !== 'SPUBLISH respmesh ')
  }

  /** What the owner is given for these bytes, in which `=1` stands for the replies to a mark and to its WAIT. */
  receive(text: string): string {
    this.given = ''
    this.gate.onData(Buffer.from(text.replaceAll('=', ':0\r\n:'), 'latin1'))
    return this.given
  }
}

test('a reply to a write passes when enough replicas have it, and not before', () => {
  const rig = new Rig()
  assert.deepEqual(rig.send('SET a 1'), ['SET a 1', 'WAIT 1 100'])
  assert.ok(rig.gate.isBusy)
  assert.equal(rig.receive('+OK\r\n'), '')
  assert.equal(rig.receive('='), '')
  assert.equal(rig.receive('1\r'), '')
  assert.equal(rig.receive('\n'), '+OK\r\n')
  assert.equal(rig.gate.isBusy, false)
  assert.equal(rig.drains, 1)
  assert.deepEqual(rig.counters, {
    commits: 1,
    commitMicros: 2000,
    writesUnconfirmed: 0,
    commitsTooLarge: 0,
  })
})

test('what only reads is sent and answered as ever', () => {
  const rig = new Rig()
  assert.deepEqual(rig.send('GET a', 'PING'), ['GET a', 'PING'])
  assert.equal(rig.gate.isBusy, false)
  assert.equal(rig.receive('$1\r\n'), '$1\r\n')
  assert.equal(rig.receive('1\r\n+PONG\r\n'), '1\r\n+PONG\r\n')
})

test('replies before the first write pass at once, those behind it in order', () => {
  const rig = new Rig()
  rig.send('GET a', 'SET a 1', 'GET a')
  assert.equal(rig.receive('$-1\r\n+OK\r\n$1\r\n1\r\n'), '$-1\r\n')
  assert.equal(rig.receive('=2\r\n'), '+OK\r\n$1\r\n1\r\n')
})

test('a write that too few replicas have is answered with an error, what was refused or read is not', () => {
  const rig = new Rig()
  rig.rule.waitReplicas = 2
  rig.send('SET a 1', 'GET a', 'LPUSH a 1', 'SET b 1', 'SET c 1')
  rig.receive('+OK\r\n$1\r\n1\r\n-WRONGTYPE x\r\n+OK\r\n')
  const error = unconfirmed(1, 2)
  assert.equal(rig.receive('+OK\r\n=1\r\n'), `${error}$1\r\n1\r\n-WRONGTYPE x\r\n${error}${error}`)
  assert.equal(rig.counters.writesUnconfirmed, 3)
})

test('a refused WAIT confirms nothing', () => {
  const rig = new Rig()
  rig.send('SET a 1')
  assert.equal(rig.receive('+OK\r\n:0\r\n-NOPERM x\r\n'), unconfirmed(0))
})

test('another rule holds from the next write on', () => {
  const rig = new Rig()
  rig.send('SET a 1')
  Object.assign(rig.rule, { waitReplicas: 2, waitTimeoutMs: 5 })
  assert.deepEqual(rig.send('SET a 2'), ['SET a 2', 'WAIT 2 5'])
  assert.equal(rig.receive('+OK\r\n=1\r\n+OK\r\n=1\r\n'), `+OK\r\n${unconfirmed(1, 2)}`)
})

test('a transaction is confirmed behind EXEC', () => {
  const rig = new Rig()
  assert.deepEqual(rig.send('MULTI'), ['MULTI'])
  assert.deepEqual(rig.send('SET a 1', 'BLPOP l 0'), ['SET a 1', 'BLPOP l 0'])
  assert.equal(rig.receive('+OK\r\n+QUEUED\r\n+QUEUED\r\n'), '+OK\r\n+QUEUED\r\n+QUEUED\r\n')
  assert.deepEqual(rig.send('EXEC'), ['EXEC', 'WAIT 1 100'])
  assert.equal(rig.receive('*2\r\n+OK\r\n*-1\r\n'), '')
  assert.equal(rig.receive('=0\r\n'), unconfirmed(0))
})

test('a transaction that read, was discarded, refused or undone is not an unconfirmed write', () => {
  const rig = new Rig()
  rig.send('MULTI')
  rig.send('GET a')
  assert.deepEqual(rig.send('EXEC'), ['EXEC'])
  assert.equal(rig.receive('+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n').length, 23)
  rig.send('MULTI')
  rig.send('SET a 1')
  assert.deepEqual(rig.send('DISCARD'), ['DISCARD'])
  rig.receive('+OK\r\n+QUEUED\r\n+OK\r\n')
  assert.deepEqual(rig.send('SET a 1'), ['SET a 1', 'WAIT 1 100'])
  rig.receive('+OK\r\n=1\r\n')
  for (const nothing of ['*-1\r\n', '_\r\n', '-EXECABORT x\r\n']) {
    rig.send('MULTI')
    rig.send('SET a 1')
    rig.send('EXEC')
    rig.receive('+OK\r\n+QUEUED\r\n')
    assert.equal(rig.receive(`${nothing}=0\r\n`), nothing)
  }
})

test('where MULTI is refused, writes wait', () => {
  const rig = new Rig()
  rig.send('MULTI')
  rig.receive('-NOPERM x\r\n')
  assert.deepEqual(rig.send('SET a 1'), ['SET a 1', 'WAIT 1 100'])
})

test('a write that was sent as part of a transaction and was run ends the connection', () => {
  const rig = new Rig()
  rig.send('MULTI')
  rig.send('SET a 1')
  assert.equal(rig.receive('-NOPERM x\r\n+OK\r\n'), '-NOPERM x\r\n')
  assert.ok(rig.isEnded)
})

test('what blocked counts only with the mark, and null says that nothing was taken', () => {
  const rig = new Rig()
  const popped = '*2\r\n$1\r\nl\r\n$1\r\nx\r\n'
  assert.deepEqual(rig.send('BLPOP l 1'), ['BLPOP l 1', 'WAIT 1 100'])
  assert.equal(rig.receive(`${popped}:`), '')
  assert.equal(rig.receive('0\r\n:1\r\n'), popped)
  rig.send('BLPOP l 1')
  assert.equal(rig.receive('*-1\r\n=0\r\n'), '*-1\r\n')
  rig.send('BLPOP l 1')
  assert.equal(rig.receive(`${popped}=0\r\n`), unconfirmed(0))
  rig.send('BLPOP l 1')
  assert.equal(rig.receive(`${popped}-NOPERM x\r\n:1\r\n`), unconfirmed(0))
  rig.send('SET a 1')
  assert.equal(rig.receive('+OK\r\n-NOPERM x\r\n:1\r\n'), '+OK\r\n')
})

test('a command in pieces is confirmed behind the last', () => {
  const rig = new Rig()
  const bytes = encodeCommand(['SET', 'a', 'x'.repeat(100)])
  assert.ok(rig.gate.beginLarge(bytes.subarray(0, 40)))
  assert.equal(rig.gate.isBusy, false)
  assert.match(rig.gate.endLarge()?.toString() ?? '', /SPUBLISH.*WAIT/s)
  assert.equal(rig.receive('+OK\r\n'), '')
  assert.equal(rig.receive('=1\r\n'), '+OK\r\n')
  assert.ok(rig.gate.beginLarge(encodeCommand(['GET', 'a']).subarray(0, 18)))
  assert.equal(rig.gate.endLarge(), undefined)
})

test('messages keep their place among replies, and are never taken for one', () => {
  const rig = new Rig(3)
  const push = '>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n'
  assert.equal(rig.receive(push.slice(0, 9)), push.slice(0, 9))
  rig.send('GET a', 'SET a 1', 'SET b 1')
  assert.equal(
    rig.receive(`${push.slice(9)}_\r\n${push}+OK\r\n${push}`),
    `${push.slice(9)}_\r\n${push}`,
  )
  const error = unconfirmed(0)
  assert.equal(rig.receive(`+OK\r\n${push}=0\r\n${push}`), `${error}${push}${error}${push}${push}`)
  assert.equal(rig.receive(push), push)
  rig.send('SET a 1')
  assert.equal(rig.receive(`+OK\r\n${push}=1\r\n`), `+OK\r\n${push}`)
})

test('confirmations of subscriptions are nobody’s replies', () => {
  const rig = new Rig(3)
  const confirmation = '>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n'
  rig.send('SUBSCRIBE a')
  assert.equal(rig.receive(confirmation), confirmation)
  rig.send('SUBSCRIBE')
  assert.equal(rig.receive('-ERR wrong\r\n'), '-ERR wrong\r\n')
  rig.send('UNSUBSCRIBE')
  rig.send('SET a 1')
  assert.equal(rig.receive(`${confirmation}+OK\r\n`), confirmation)
  assert.equal(rig.receive('=1\r\n'), '+OK\r\n')
})

test('where replies cannot be followed no write is sent', () => {
  const rig = new Rig()
  assert.deepEqual(rig.send('MONITOR'), ['MONITOR'])
  assert.equal(rig.receive('+OK\r\n+1.0 [0 a] "GET" "b"\r\n'), '+OK\r\n+1.0 [0 a] "GET" "b"\r\n')
  assert.deepEqual(rig.send('GET a'), ['GET a'])
  assert.equal(rig.send('SET a 1'), undefined)
  assert.equal(rig.send('EXEC'), undefined)
  const another = new Rig()
  another.send('MULTI')
  another.send('SUBSCRIBE a')
  assert.deepEqual(another.send('SET a 1'), ['SET a 1'])
  assert.equal(another.send('EXEC'), undefined)
})

test('the connection ends when more is withheld than may be', () => {
  const rig = new Rig()
  rig.send('GETDEL a')
  const piece = 'x'.repeat(1 << 20)
  rig.receive(`$${2 * withheldBytesMax}\r\n`)
  let byteCount = 0
  while (!rig.isEnded) {
    rig.receive(piece)
    byteCount += piece.length
    assert.ok(byteCount <= withheldBytesMax + piece.length)
  }
  assert.equal(rig.counters.commitsTooLarge, 1)
  assert.equal(rig.receive('\r\n=1\r\n'), '')
})

test('nobody is given anything after the owner left, and bytes that are no reply end the connection', () => {
  const rig = new Rig()
  rig.send('SET a 1')
  rig.receive('+OK\r\n')
  rig.gate.setOwner(undefined)
  assert.equal(rig.receive('=1\r\n'), '')
  const other = new Rig()
  other.send('SET a 1')
  other.receive('?\r\n')
  assert.ok(other.isEnded)
})

test('however commands and replies are cut up, each gets its own reply, and only confirmed writes are acknowledged', () => {
  const command = fc.record({
    isWrite: fc.boolean(),
    isError: fc.boolean(),
    isPushed: fc.boolean(),
  })
  const batch = fc.record({
    commands: fc.array(command, { minLength: 1, maxLength: 6 }),
    confirmed: fc.integer({ min: 0, max: 2 }),
  })
  const program = fc.tuple(
    fc.array(batch, { maxLength: 6 }),
    fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
  )
  fc.assert(
    fc.property(program, ([batches, cuts]) => {
      const rig = new Rig(3)
      let replies = ''
      let wanted = ''
      let number = 0
      for (const { commands, confirmed } of batches) {
        rig.send(...commands.map(({ isWrite }) => (isWrite ? 'SET a 1' : 'GET a')))
        for (const { isWrite, isError, isPushed } of commands) {
          number += 1
          const push = isPushed ? `>2\r\n+p\r\n:${number}\r\n` : ''
          const reply = isError ? `-ERR ${number}\r\n` : `$${`${number}`.length}\r\n${number}\r\n`
          replies += push + reply
          wanted += push + (isWrite && !isError && confirmed === 0 ? unconfirmed(0) : reply)
        }
        if (commands.some(({ isWrite }) => isWrite)) replies += `=${confirmed}\r\n`
      }
      let given = ''
      for (let at = 0, index = 0; at < replies.length; index += 1) {
        const end = at + (cuts[index % cuts.length] ?? 1)
        given += rig.receive(replies.slice(at, end))
        at = end
      }
      assert.equal(given, wanted)
      assert.equal(rig.isEnded, false)
    }),
  )
})
