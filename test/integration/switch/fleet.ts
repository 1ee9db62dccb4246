/** Clients of every kind, each of which knows what it must be answered, and afterwards what the server must hold. */
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { setTimeout as delay } from 'node:timers/promises'
import type { Reply } from '../../../sidecar/resp/decode.ts'
import { Member, type Crew } from './member.ts'
import { readers } from './readers.ts'
import { numberOf, textsOf, WireClient } from './wire.ts'

/** What a member leaves at the server, as a check of it: empty if it is right, else what is wrong. */
export type Audit = (server: WireClient) => Promise<string>

export interface Fleet {
  readonly members: readonly Member[]
  readonly audits: readonly Audit[]
  /** Has all of them stop after what they do. */
  stop(): Promise<void>
}

/** A place for members, audits and what is closed at the end. */
export class Muster {
  readonly crew: Crew
  readonly members: Member[] = []
  readonly audits: Audit[] = []
  readonly closers: (() => void)[] = []

  constructor(port: number) {
    this.crew = { port, isRunning: true }
  }

  add(name: string, step: (member: Member) => Promise<void>): Member {
    const member = new Member(name, this.crew, step)
    this.members.push(member)
    return member
  }

  wire(name: string): WireClient {
    const client = new WireClient(this.crew.port, (error) => {
      if (this.crew.isRunning) this.members[0]?.fail(`${name}: ${error.message}`)
    })
    this.closers.push(() => client.close())
    return client
  }

  /** Never connects again, and never sends again: every error is seen. */
  ioredis(protocol: 2 | 3): Redis {
    const redis = new Redis({
      port: this.crew.port,
      host: '127.0.0.1',
      protocol,
      connectionName: `fleet-${protocol}`,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
    })
    redis.on('error', () => {})
    this.closers.push(() => redis.disconnect())
    return redis
  }
}

const script = "redis.call('RPUSH', KEYS[2], ARGV[1]) return redis.call('INCR', KEYS[1])"

export async function startFleet(port: number): Promise<Fleet> {
  const muster = new Muster(port)
  await counters(muster)
  await transactions(muster)
  await states(muster)
  await readers(muster)
  const { members, audits, crew, closers } = muster
  return {
    members,
    audits,
    stop: async () => {
      crew.isRunning = false
      await Promise.race([Promise.all(members.map(({ ended }) => ended)), delay(1000)])
      for (const close of closers) close()
      await Promise.all(members.map(({ ended }) => ended))
    },
  }
}

/** Scripts and numbered commands: each must have been run once. */
async function counters(muster: Muster): Promise<void> {
  const wire = muster.wire('counter script')
  const sha = textsOf(await wire.ask('SCRIPT', 'LOAD', script))[0] ?? ''
  let count = 0
  muster.add('counter script', async (member) => {
    const words = count % 2 === 0 ? ['EVALSHA', sha] : ['EVAL', script]
    const reply = numberOf(
      await wire.ask(...words, '2', '{script}n', '{script}list', String(count)),
    )
    count += 1
    member.expect(reply === count, `the script counted ${reply}, expected ${count}`)
  })
  muster.audits.push(async (server) => {
    const [n] = textsOf(await server.ask('GET', '{script}n'))
    const list = textsOf(await server.ask('LRANGE', '{script}list', '0', '-1'))
    const isInOrder = list.every((item, index) => item === String(index))
    if (Number(n) >= count && Number(n) <= count + 1 && list.length === Number(n) && isInOrder)
      return ''
    return `the script ran ${n} times and left ${list.length}, ${count} were answered`
  })
  const redis = muster.ioredis(2)
  let next = 0
  muster.add('numbered INCR in pipelines', async (member) => {
    const pipeline = redis.pipeline()
    for (let index = 0; index < 20; index += 1)
      pipeline.hincrby('numbered', String(next + index), 1)
    next += 20
    for (const [error, value] of (await pipeline.exec()) ?? []) {
      member.expect(error === null && value === 1, `a number counted ${String(error ?? value)}`)
    }
  })
  muster.audits.push(async (server) => {
    const values = textsOf(await server.ask('HVALS', 'numbered'))
    const isOnce = values.every((value) => value === '1')
    return isOnce && values.length === next
      ? ''
      : `${values.length} of ${next} numbers, once each: ${isOnce}`
  })
}

async function transactions(muster: Muster): Promise<void> {
  const redis = muster.ioredis(3)
  let answered = 0
  muster.add('MULTI and EXEC', async (member) => {
    const results = await redis
      .multi()
      .incr('{multi}a')
      .incr('{multi}b')
      .exec()
      .catch((error: unknown) => {
        if (!String(error).includes('EXECABORT')) throw error
        return 'aborted' as const
      })
    if (results === 'aborted') {
      member.abortedCount += 1
      return
    }
    answered += 1
    const values = results?.map(([, value]) => value)
    member.expect(values?.[0] === answered && values[1] === answered, `EXEC gave ${String(values)}`)
  })
  muster.audits.push(async (server) => equal(server, ['{multi}a', '{multi}b'], answered))
  const slow = muster.wire('slow transaction')
  let committed = 0
  muster.add('a transaction that takes its time', async (member) => {
    await slow.ask('MULTI')
    await slow.askAny('INCR', '{slow}a')
    await member.rest(30)
    await slow.askAny('INCR', '{slow}b')
    const reply = await slow.askAny('EXEC')
    if (reply.kind === 'list') committed += 1
    else if (isAborted(reply)) member.abortedCount += 1
    else member.fail(`EXEC gave ${JSON.stringify(reply)}`)
  })
  muster.audits.push(async (server) => equal(server, ['{slow}a', '{slow}b'], committed))
  const watcher = muster.wire('WATCH')
  let set = 0
  muster.add('WATCH', async (member) => {
    await watcher.ask('WATCH', 'watched')
    const value = Number(textsOf(await watcher.ask('GET', 'watched'))[0] ?? 0)
    await watcher.ask('MULTI')
    await watcher.askAny('SET', 'watched', String(value + 1))
    const reply = await watcher.askAny('EXEC')
    if (reply.kind === 'list') set += 1
    else if (reply.kind === 'null' || isAborted(reply)) member.abortedCount += 1
    else member.fail(`EXEC gave ${JSON.stringify(reply)}`)
  })
  muster.audits.push(async (server) => equal(server, ['watched'], set))
}

/** As a whole, and saying so: what a client has to be ready for anyway. */
function isAborted(reply: Reply): boolean {
  return reply.kind === 'error' && reply.text.startsWith('EXECABORT')
}

/** `count`, or one more where the last was not waited for. */
async function equal(server: WireClient, keys: readonly string[], count: number): Promise<string> {
  const values = await Promise.all(
    keys.map(async (key) => Number(textsOf(await server.ask('GET', key))[0])),
  )
  const isSame = values.every((value) => value === values[0])
  const isRight = isSame && (values[0] === count || values[0] === count + 1)
  return isRight ? '' : `${keys.join(', ')} are ${values.join(', ')}, ${count} were answered`
}

/** What belongs to a connection. */
async function states(muster: Muster): Promise<void> {
  const wire = muster.wire('SELECT')
  await wire.ask('SELECT', '5')
  await wire.ask('CLIENT', 'SETNAME', 'fifth')
  let count = 0
  muster.add('SELECT and a name', async (member) => {
    const reply = numberOf(await wire.ask('INCR', 'fifth'))
    count += 1
    member.expect(reply === count, `INCR in database 5 gave ${reply}, expected ${count}`)
    const [name] = textsOf(await wire.ask('CLIENT', 'GETNAME'))
    member.expect(name === 'fifth', `the name is ${name}`)
  })
  const modern = createClient({
    socket: { host: '127.0.0.1', port: muster.crew.port, reconnectStrategy: false },
    RESP: 3,
  })
  modern.on('error', () => {})
  muster.closers.push(() => modern.destroy())
  await modern.connect()
  await modern.hSet('map', { a: '1', b: '2' })
  muster.add('RESP3', async (member) => {
    const reply = await modern.sendCommand(['HGETALL', 'map'])
    const isMap = typeof reply === 'object' && reply !== null && !Array.isArray(reply)
    member.expect(isMap, `HGETALL gave ${JSON.stringify(reply)}`)
    member.expect((await modern.get('missing')) === null, 'a missing key was there')
  })
  const redis = muster.ioredis(2)
  const [large, larger] = ['x'.repeat(300_000), 'y'.repeat(900_000)]
  muster.add('large values', async (member) => {
    for (const value of [large, larger]) {
      member.expect((await redis.set('large', value)) === 'OK', 'SET was not OK')
      const got = await redis.get('large')
      member.expect(got === value, `a large value came back with ${got?.length} bytes`)
    }
    await member.rest(20)
  })
}
