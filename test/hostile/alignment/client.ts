/** One client of the alignment run: everything it asks for has its name in it. */
import { type Socket, createConnection } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Random } from '../fuzz/random.ts'
import { Batch, noVerdicts, type Verdicts } from './batch.ts'

export const keyCount = 8
/** Small ones mostly, one of some packets and one that takes the way of large replies. */
const valueBytes = [20, 64, 64, 100, 300, 1000, 6000, 90_000] as const

/** Those of one client are together where there are several servers. */
export const keyOf = (id: string, index: number) => `al:{${id}}:${index}`
export const valueOf = (id: string, index: number) =>
  `${id}|`.padEnd(valueBytes[index] as number, `${id}.`)

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
const encode = (...words: readonly string[]) => `*${words.length}\r\n${words.map(bulk).join('')}`
const exactly = (text: string) => new RegExp(`^${text.replaceAll(/[*$|.]/g, '\\$&')}$`)
/** A server that is replaced is given time to come, on a busy machine as well. */
const patienceMs = 60_000
const batchMax = 96

export interface Tally extends Verdicts {
  connections: number
  cancels: number
  resets: number
  specials: number
  /** Batches whose end did not come although the connection stayed. */
  hangs: number
}

export const newTally = (): Tally => ({
  ...noVerdicts(),
  connections: 0,
  cancels: 0,
  resets: 0,
  specials: 0,
  hangs: 0,
})

/** A connection that bytes are taken from for the batch at hand. */
class Line {
  readonly socket: Socket
  isClosed = false
  private batch: Batch | undefined
  private verdicts: Verdicts | undefined
  private wake: (() => void) | undefined

  private readonly name: string
  private runs = 0

  constructor(port: number, name: string) {
    this.name = name
    this.socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.isClosed = true
      this.wake?.()
    })
    this.socket.on('data', (chunk: Buffer) => {
      if (this.batch === undefined || this.verdicts === undefined) return
      this.batch.take(chunk, this.verdicts)
      if (this.batch.isDone) this.wake?.()
    })
  }

  /** Sends and waits for all replies, the end of the connection, or no longer. */
  async run(batch: Batch, tally: Tally, waitMs: number): Promise<'closed' | 'done' | 'late'> {
    this.batch = batch
    this.verdicts = tally
    this.runs += 1
    batch.label = `${this.name} port ${this.socket.localPort} batch ${this.runs}`
    this.socket.write(batch.seal())
    const { promise, resolve } = Promise.withResolvers<void>()
    this.wake = resolve
    const timer = setTimeout(resolve, waitMs)
    if (!batch.isDone && !this.isClosed) await promise
    clearTimeout(timer)
    this.wake = undefined
    if (!batch.isDone) return this.isClosed ? 'closed' : 'late'
    // The batch stays, so that a reply too many is counted.
    return 'done'
  }
}

export interface ClientOptions {
  readonly port: number
  readonly id: string
  readonly random: Random
  readonly tally: Tally
  readonly isOver: () => boolean
  /** There are several servers: clients with values that it may ask for together with its own. */
  readonly others?: readonly string[]
}

export class AlignmentClient {
  private readonly options: ClientOptions
  private sequence = 0
  private line: Line | undefined

  constructor(options: ClientOptions) {
    this.options = options
  }

  async work(): Promise<void> {
    const { isOver } = this.options
    while (!isOver()) await this.round()
    this.line?.socket.destroy()
  }

  private connected(): Line {
    if (this.line === undefined || this.line.isClosed || this.line.socket.destroyed) {
      this.options.tally.connections += 1
      this.line = new Line(this.options.port, this.options.id)
    }
    return this.line
  }

  private async round(): Promise<void> {
    const { random, tally } = this.options
    const line = this.connected()
    const kind = random.next()
    if (kind < 0.06) return this.cancel(line)
    if (kind < 0.14) {
      tally.specials += 1
      return this.special(line)
    }
    const batch = new Batch()
    const count = 1 + random.int(batchMax)
    for (let index = 0; index < count; index += 1) this.addPlain(batch)
    await this.finish(line, batch)
  }

  private async finish(line: Line, batch: Batch): Promise<void> {
    const end = await line.run(batch, this.options.tally, patienceMs)
    if (end === 'late') this.options.tally.hangs += 1
    if (end !== 'done') line.socket.destroy()
    if (end === 'closed') await delay(5)
  }

  private mark(): string {
    this.sequence += 1
    return `${this.options.id}:${this.sequence}`
  }

  private addPlain(batch: Batch): void {
    const { id, random, others } = this.options
    if (others !== undefined && random.chance(0.2)) this.addSplit(batch, others)
    else if (random.chance(0.5)) {
      const mark = this.mark()
      batch.add(encode('ECHO', mark), bulk(mark))
    } else {
      const index = random.chance(0.001) ? keyCount - 1 : random.int(keyCount - 1)
      batch.add(encode('GET', keyOf(id, index)), bulk(valueOf(id, index)))
    }
  }

  /** Keys of several servers in one command. */
  private addSplit(batch: Batch, others: readonly string[]): void {
    const { id, random } = this.options
    const ids = [random.pick(others), id, random.pick(others), random.pick(others)]
    const index = random.int(keyCount - 2)
    const keys = ids.map((one) => keyOf(one, index))
    if (random.chance(0.7)) {
      const values = ids.map((one) => bulk(valueOf(one, index)))
      batch.add(encode('MGET', ...keys), `*${ids.length}\r\n${values.join('')}`)
    } else batch.add(encode('EXISTS', ...keys), `:${ids.length}\r\n`)
  }

  /** Goes away with replies outstanding: by RST, by FIN, or in the middle of a reply, and comes back at once. */
  private async cancel(line: Line): Promise<void> {
    const { id, random, tally } = this.options
    const batch = new Batch()
    for (let left = 1 + random.int(batchMax); left > 0; left -= 1) this.addPlain(batch)
    if (random.chance(0.2))
      batch.add(encode('GET', keyOf(id, keyCount - 1)), bulk(valueOf(id, keyCount - 1)))
    await line.run(batch, tally, random.int(4))
    tally.cancels += 1
    if (random.chance(0.6)) {
      tally.resets += 1
      line.socket.resetAndDestroy()
    } else if (random.chance(0.5)) line.socket.end()
    else line.socket.destroy()
    this.line = undefined
  }

  private async special(line: Line): Promise<void> {
    const { others } = this.options
    const kinds = [
      () => this.skip(line),
      () => this.off(line),
      () => this.pop(line),
      () => this.transaction(line),
      () => this.database(line),
      () => this.upload(line),
      () => this.subscription(line),
      // With several servers no client is told of changes.
      () => (others === undefined ? this.tracking(line) : this.protocols(line)),
    ]
    await this.options.random.pick(kinds)()
  }

  private async skip(line: Line): Promise<void> {
    const batch = new Batch()
    batch.add(encode('CLIENT', 'REPLY', 'SKIP'), '')
    batch.add(encode('ECHO', 'unseen'), '')
    this.addPlain(batch)
    await this.finish(line, batch)
  }

  private async off(line: Line): Promise<void> {
    const batch = new Batch()
    batch.add(encode('CLIENT', 'REPLY', 'OFF'), '')
    for (let left = 20; left > 0; left -= 1) batch.add(encode('ECHO', 'unseen'), '')
    batch.add(encode('CLIENT', 'REPLY', 'ON'), '+OK\r\n')
    this.addPlain(batch)
    await this.finish(line, batch)
  }

  /** A pop that is served, one that waits in vain, and sometimes one that its client does not wait for. */
  private async pop(line: Line): Promise<void> {
    const { random } = this.options
    const mark = this.mark()
    const list = `al:list:${mark}`
    const popped = `*2\r\n${bulk(list)}${bulk(mark)}`
    const batch = new Batch()
    batch.add(encode('RPUSH', list, mark), ':1\r\n')
    batch.add(encode('BLPOP', list, '1'), popped, /^\*-1\r\n$/)
    batch.add(encode('BLPOP', list, '0.01'), '*-1\r\n', exactly(popped))
    this.addPlain(batch)
    await this.finish(line, batch)
    if (!random.chance(0.3) || line.isClosed) return
    const waiting = new Batch()
    waiting.add(encode('BLPOP', list, '0'), '+never\r\n')
    await line.run(waiting, this.options.tally, 2)
    line.socket.resetAndDestroy()
  }

  private async transaction(line: Line): Promise<void> {
    const { id } = this.options
    const [one, other] = [this.mark(), this.mark()]
    const batch = new Batch()
    batch.add(encode('WATCH', keyOf(id, 0)), '+OK\r\n')
    batch.add(encode('MULTI'), '+OK\r\n')
    batch.add(encode('ECHO', one), '+QUEUED\r\n', exactly(bulk(one)))
    batch.add(encode('GET', keyOf(id, 1)), '+QUEUED\r\n', exactly(bulk(valueOf(id, 1))))
    batch.add(encode('ECHO', other), '+QUEUED\r\n', exactly(bulk(other)))
    const executed = (value: string) => `*3\r\n${bulk(one)}${value}${bulk(other)}`
    // Nothing, if its connection was lost; without the value, if the server was replaced.
    const others = new RegExp(`^\\*-1\r\n$|${exactly(executed('$-1\r\n')).source}`)
    batch.add(encode('EXEC'), executed(bulk(valueOf(id, 1))), others)
    this.addPlain(batch)
    await this.finish(line, batch)
  }

  private async database(line: Line): Promise<void> {
    const batch = new Batch()
    const mark = this.mark()
    batch.add(encode('SELECT', '3'), '+OK\r\n')
    batch.add(encode('ECHO', mark), bulk(mark))
    batch.add(encode('SELECT', '0'), '+OK\r\n')
    this.addPlain(batch)
    const { errors } = this.options.tally
    await this.finish(line, batch)
    // It may be in the other database for good.
    if (this.options.tally.errors > errors) line.socket.destroy()
  }

  private async protocols(line: Line): Promise<void> {
    const batch = new Batch()
    for (const version of [3, 2]) {
      batch.add(encode('HELLO', String(version)), '*', version === 3 ? /^%\d/ : /^\*\d/)
      for (let left = 10; left > 0; left -= 1) this.addPlain(batch)
    }
    const { errors } = this.options.tally
    await this.finish(line, batch)
    // It may speak the other for good.
    if (this.options.tally.errors > errors) line.socket.destroy()
  }

  private async upload(line: Line): Promise<void> {
    const { id } = this.options
    const batch = new Batch()
    batch.add(encode('SET', `al:up:${id}`, id.repeat(80_000)), '+OK\r\n')
    batch.add(
      encode('GETRANGE', `al:up:${id}`, '0', String(id.length - 1)),
      bulk(id),
      /^\$0\r\n\r\n$/,
    )
    await this.finish(line, batch)
  }

  private async subscription(line: Line): Promise<void> {
    const { id, port, tally } = { ...this.options }
    const channel = `al:ch:${id}`
    const subscriber = new Line(port, `subscriber of ${id}`)
    const opening = new Batch()
    opening.add(encode('SUBSCRIBE', channel), `*3\r\n${bulk('subscribe')}${bulk(channel)}:1\r\n`)
    if ((await subscriber.run(opening, tally, patienceMs)) === 'done') {
      const mark = this.mark()
      const pong = `*2\r\n${bulk('pong')}${bulk(mark)}`
      const message = `*3\r\n${bulk('message')}${bulk(channel)}${bulk(mark)}`
      const hearing = new Batch()
      hearing.add(encode('PING', mark), pong, exactly(message))
      hearing.add('', message, exactly(pong))
      const pinged = subscriber.run(hearing, tally, 1000)
      await delay(2)
      const batch = new Batch()
      batch.add(encode('PUBLISH', channel, mark), ':1\r\n', /^:0\r\n$/)
      await Promise.all([this.finish(line, batch), pinged])
    }
    subscriber.socket.destroy()
  }

  /** Told of a change to its own key and to no other. */
  private async tracking(line: Line): Promise<void> {
    const { id, port, tally } = this.options
    const key = `al:tr:${id}`
    const invalidated = `>2\r\n${bulk('invalidate')}*1\r\n${bulk(key)}`
    const own = exactly(bulk(id))
    const tracker = new Line(port, `tracker of ${id}`)
    const opening = new Batch(true)
    opening.add(encode('HELLO', '3'), '%', /^%\d/)
    opening.add(encode('CLIENT', 'TRACKING', 'ON'), '+OK\r\n')
    opening.add(encode('GET', key), '_\r\n', new RegExp(`${own.source}|^\\$-1\r\n$`))
    if ((await tracker.run(opening, tally, patienceMs)) === 'done') {
      const pushed = new Batch(true)
      pushed.add('', invalidated)
      const heard = tracker.run(pushed, tally, 1000)
      const batch = new Batch()
      batch.add(encode('SET', key, id, 'PX', '1'), '+OK\r\n')
      await Promise.all([this.finish(line, batch), heard])
      await delay(3)
    }
    tracker.socket.destroy()
  }
}
