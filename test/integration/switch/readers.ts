/** Members that wait for what others send: blocked, subscribed, or watching everything. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Reply } from '../../../sidecar/resp/decode.ts'
import type { Muster } from './fleet.ts'
import { Member } from './member.ts'
import { numberOf, textsOf } from './wire.ts'

const paceMs = 5

export async function readers(muster: Muster): Promise<void> {
  blockedOnList(muster, 'BLPOP', () => ['BLPOP', 'queue:BLPOP', '0'])
  blockedOnList(muster, 'BLMOVE', () => ['BLMOVE', 'queue:BLMOVE', 'moved', 'LEFT', 'RIGHT', '0'])
  blockedOnStream(muster)
  await blockedOnNews(muster)
  await subscribed(muster)
  await monitoring(muster)
}

/** Numbers that were sent must come once each and in order. */
class Sequence {
  private readonly name: string
  private readonly sentAt = new Map<number, number>()
  private next = 0
  private expected = 0

  constructor(name: string) {
    this.name = name
  }

  send(): string {
    const number = this.next
    this.next += 1
    this.sentAt.set(number, performance.now())
    return String(number)
  }

  receive(member: Member, text: string | undefined): void {
    const number = Number(text)
    member.expect(number === this.expected, `${this.name} gave ${text}, expected ${this.expected}`)
    this.expected = number + 1
    member.doneCount += 1
    member.noteWait(performance.now() - (this.sentAt.get(number) ?? 0))
    this.sentAt.delete(number)
  }

  /** Undefined when everything that was sent has come. */
  get missing(): string {
    return this.next - this.expected > 1
      ? `${this.name}: sent ${this.next}, came ${this.expected}`
      : ''
  }
}

function blockedOnList(muster: Muster, name: string, command: () => string[]): void {
  const [sequence, producer, consumer] = [
    new Sequence(name),
    muster.wire(`producer of ${name}`),
    muster.wire(name),
  ]
  muster.add(`producer of ${name}`, async (member) => {
    await producer.ask('RPUSH', `queue:${name}`, sequence.send())
    await member.rest(paceMs)
  })
  muster.add(name, async (member) => {
    const reply = await consumer.ask(...command())
    sequence.receive(member, textsOf(reply).at(-1))
    // How long it waited for something to come says nothing.
    member.takeLongest()
  })
  muster.audits.push(async () => sequence.missing)
}

function blockedOnStream(muster: Muster): void {
  const [sequence, producer, consumer] = [
    new Sequence('XREAD'),
    muster.wire('producer of XREAD'),
    muster.wire('XREAD'),
  ]
  let last = '0'
  muster.add('producer of XREAD', async (member) => {
    await producer.ask('XADD', 'stream', '*', 'n', sequence.send())
    await member.rest(paceMs)
  })
  muster.add('XREAD BLOCK', async (member) => {
    const reply = await consumer.ask('XREAD', 'COUNT', '1', 'BLOCK', '0', 'STREAMS', 'stream', last)
    const [, id, , value] = textsOf(reply)
    last = id ?? last
    sequence.receive(member, value)
    member.takeLongest()
  })
  muster.audits.push(async () => sequence.missing)
}

/** From the end of a stream on: only what is added while the reader waits may come. */
async function blockedOnNews(muster: Muster): Promise<void> {
  const [producer, consumer] = [muster.wire('producer of news'), muster.wire('XREAD of news')]
  await producer.ask('XADD', 'news', '*', 'n', 'before')
  let count = 0
  muster.add('XREAD BLOCK from the end on', async (member) => {
    const reading = consumer.ask('XREAD', 'BLOCK', '0', 'STREAMS', 'news', '$')
    const read = { isDone: false }
    const end = () => {
      read.isDone = true
    }
    reading.then(end, end)
    // Nothing orders the first ones after a reader that a switch held back.
    while (!read.isDone) {
      await member.rest(100)
      await producer.ask('XADD', 'news', '*', 'n', String(count))
    }
    const value = textsOf(await reading)[3]
    member.expect(value === String(count), `the news were ${value}, expected ${count}`)
    count += 1
  })
}

async function subscribed(muster: Muster): Promise<void> {
  const [two, three] = [muster.wire('subscriber in RESP2'), muster.wire('subscriber in RESP3')]
  await three.ask('HELLO', '3')
  const listeners = [two, three].map((wire, index) => {
    const name = `subscriber in RESP${index + 2}`
    return { wire, name, sequence: new Sequence(name), member: idle(muster, name) }
  })
  let subscribedCount = 0
  for (const { wire, sequence, member } of listeners) {
    wire.isListening = true
    wire.onMessage = (reply: Reply) => {
      const [kind, , value] = textsOf(reply)
      if (kind === 'message') sequence.receive(member, value)
      else subscribedCount += 1
    }
    wire.send('SUBSCRIBE', 'channel')
  }
  while (subscribedCount < listeners.length) await delay(paceMs)
  const publisher = muster.ioredis(2)
  muster.add('publisher', async (member) => {
    const [number] = listeners.map(({ sequence }) => sequence.send())
    const heard = await publisher.publish('channel', number ?? '')
    member.expect(heard === listeners.length, `message ${number} was heard by ${heard}`)
    await member.rest(paceMs)
  })
  for (const { sequence } of listeners) muster.audits.push(async () => sequence.missing)
}

async function monitoring(muster: Muster): Promise<void> {
  const [monitor, marker] = [muster.wire('MONITOR'), muster.wire('marker')]
  const sequence = new Sequence('MONITOR')
  const member = idle(muster, 'MONITOR')
  await monitor.ask('MONITOR')
  monitor.isListening = true
  monitor.onMessage = (reply) => {
    const [line = ''] = textsOf(reply)
    const mark = /"mark" "(\d+)"/.exec(line)?.[1]
    if (mark !== undefined) sequence.receive(member, mark)
  }
  muster.add('marker', async (marking) => {
    const value = sequence.send()
    const length = numberOf(await marker.ask('RPUSH', 'mark', value))
    marking.expect(length === Number(value) + 1, `mark ${value} was number ${length}`)
    await marking.rest(paceMs)
  })
  muster.audits.push(async () => sequence.missing)
}

/** A member that does nothing by itself: what comes is noted for it. */
function idle(muster: Muster, name: string): Member {
  const member = new Member(name, { port: 0, isRunning: false }, async () => {})
  muster.members.push(member)
  return member
}
