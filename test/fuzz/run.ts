/**
 * Runs a program on a server, where it is seen when all of a step has been done, and then through the sidecar, step by
 * step with the same bytes, where all must come that came there.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { type FuzzClient, connectTo, normalised } from './client.ts'
import { type Burst, type Command, type Program, type Step, bytesOf, mayBlock } from './program.ts'
import { channels } from './words.ts'

/** What a step was seen to do. */
interface StepResult {
  readonly step: Step
  /** By client: what came, and whether the connection was ended. */
  readonly texts: readonly string[]
  readonly closed: readonly boolean[]
  /** What else the server knows of its clients, where this step may have changed it. */
  readonly facts?: string
}

export interface Transcript {
  readonly program: Program
  readonly results: readonly StepResult[]
  readonly commandCount: number
  /** Digests of all data, or undefined when it depends on the clock. */
  readonly contents: string | undefined
}

export interface Difference {
  readonly step: number
  readonly client: number
  readonly expected: string
  readonly actual: string
}

export interface Deadlines {
  readonly silenceMs: number
  readonly replyMs: number
}

const goneDeadlineMs = 20_000

/** One more command behind every burst tells that all of it has been answered. */
const markOf = (step: number, client: number) => `mark-${step}-${client}.`

function withMark(burst: Burst, step: number): readonly Command[] {
  if (burst.isEnd === true) return burst.commands
  return [...burst.commands, ['PING', markOf(step, burst.client)]]
}

/** A server, with a connection beside those of the program. */
export class Control {
  private readonly client: FuzzClient
  private count = 0
  private idleFacts: string | undefined

  constructor(client: FuzzClient) {
    this.client = client
  }

  static async open(port: number): Promise<Control> {
    return new Control(await connectTo(port))
  }

  async ask(...commands: readonly Command[]): Promise<string> {
    this.count += 1
    const mark = `control-${this.count}`
    const end = `$${mark.length}\r\n${mark}\r\n`
    await this.client.send(bytesOf([...commands, ['ECHO', mark]]), [])
    const isAnswered = await this.client.until(() => this.client.text.endsWith(end), 60_000)
    const text = this.client.take()
    if (!isAnswered) throw new Error(`the server does not answer, but for ${text.slice(0, 200)}`)
    return text.slice(0, -end.length)
  }

  /** Forgets what the last program did. */
  async reset(): Promise<void> {
    const left = await this.clientsLeft(goneDeadlineMs)
    if (left !== undefined) throw new Error(`clients do not go away: ${left}`)
    const commands = [
      'FLUSHALL',
      'SCRIPT FLUSH',
      'FUNCTION FLUSH',
      'CONFIG SET maxmemory-samples 5',
    ]
    await this.ask(...commands.map((line) => line.split(' ')))
  }

  /** Waits until the clients of a program are gone; what is left of them when the time is up, which it ends. */
  async clientsLeft(timeoutMs: number): Promise<string | undefined> {
    this.idleFacts ??= await this.facts()
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const facts = await this.facts()
      if (facts === this.idleFacts) return undefined
      if (performance.now() > deadline) {
        await this.ask(['CLIENT', 'KILL', 'TYPE', 'normal'], ['CLIENT', 'KILL', 'TYPE', 'pubsub'])
        return facts
      }
      await turn()
    }
  }

  async blockedCount(): Promise<number> {
    const text = await this.ask(['INFO', 'clients'])
    return Number(/^blocked_clients:(\d+)/m.exec(text)?.[1])
  }

  async facts(): Promise<string> {
    const text = await this.ask(
      ['PUBSUB', 'NUMSUB', ...channels],
      ['PUBSUB', 'SHARDNUMSUB', ...channels],
      ['PUBSUB', 'NUMPAT'],
      ['INFO', 'clients'],
    )
    const fields = text.match(/^(blocked|tracking)_clients:\d+/gm) ?? []
    return `${text.slice(0, text.lastIndexOf('$'))}${fields.join(' ')}`
  }

  /** A digest of every value, by database and key. */
  async contents(): Promise<string> {
    const found: string[] = []
    for (const database of ['0', '1', '2']) {
      const text = await this.ask(['SELECT', database], ['KEYS', '*'])
      const keys = bulksOf(text).toSorted()
      const digests = await this.ask(...keys.map((key) => ['DEBUG', 'DIGEST-VALUE', key]))
      const types = await this.ask(...keys.map((key) => ['TYPE', key]))
      const times = await this.ask(...keys.map((key) => ['PEXPIRETIME', key]))
      const [list, type, time] = [bulksOf(digests), types.split('\r\n'), times.split('\r\n')]
      keys.forEach((key, index) => {
        const facts = [type[index], time[index], list[index] ?? digests.slice(0, 100)]
        found.push(`${database} ${JSON.stringify(key)} ${facts.join(' ')}`)
      })
    }
    await this.ask(['SELECT', '0'])
    return found.join('\n')
  }

  close(): void {
    this.client.destroy()
  }
}

/** The texts of an array of bulk or simple strings. */
function bulksOf(reply: string): string[] {
  const found: string[] = []
  for (let at = 0; at < reply.length; ) {
    const end = reply.indexOf('\r\n', at)
    const [kind, rest] = [reply[at], reply.slice(at + 1, end)]
    at = end + 2
    if (kind === '+' && rest !== 'OK') found.push(rest)
    if (kind !== '$') continue
    found.push(reply.slice(at, at + Number(rest)))
    at += Number(rest) + 2
  }
  return found
}

/** A server reads so much at a time. */
const readBytes = 16_384

/** The run on the server itself. */
export async function runDirectly(
  port: number,
  control: Control,
  program: Program,
  deadlines: Deadlines,
): Promise<Transcript> {
  await control.reset()
  const clients = await openAll(port, program)
  const oracle = new Oracle(clients, control, deadlines)
  const results: StepResult[] = []
  for (const [index, step] of program.steps.entries()) {
    if (oracle.isLost) break
    results.push(await oracle.run(step, index))
  }
  const isTimed =
    isSilentlyTimed(program) ||
    results.some(({ texts }) => texts.some((text) => text.includes('<entry>')))
  const contents = isTimed || oracle.isLost ? undefined : await control.contents()
  for (const client of clients) client.destroy()
  return { program, results, commandCount: oracle.commandCount, contents }
}

/** Whether the clock may name an entry, and no reply tell of it. */
function isSilentlyTimed({ steps }: Program): boolean {
  const commands = steps.flatMap(({ bursts }) => bursts.flatMap((burst) => burst.commands))
  const has = (pattern: RegExp) => commands.some((command) => pattern.test(String(command)))
  return has(/^client,reply/i) && has(/xadd/i)
}

function openAll(port: number, program: Program): Promise<FuzzClient[]> {
  return Promise.all(
    program.protocols.map(async (protocol) => {
      const client = await connectTo(port)
      if (protocol === 3) {
        await client.send(bytesOf([['HELLO', '3']]), [])
        await client.until(() => client.text.endsWith('modules\r\n*0\r\n'), 10_000)
        client.take()
      }
      return client
    }),
  )
}

class Oracle {
  /** Set when a client is not answered, nobody knows why: nothing is sure from there on. */
  isLost = false
  commandCount = 0
  private readonly clients: readonly FuzzClient[]
  private readonly control: Control
  private readonly deadlines: Deadlines
  /** Clients that wait for others, with what will tell that they were answered. */
  private readonly blocked = new Map<number, string>()

  constructor(clients: readonly FuzzClient[], control: Control, deadlines: Deadlines) {
    this.clients = clients
    this.control = control
    this.deadlines = deadlines
  }

  async run(step: Step, index: number): Promise<StepResult> {
    const { clients, control } = this
    if (step.leaves !== undefined) {
      clients[step.leaves]?.destroy()
      this.blocked.delete(step.leaves)
    }
    const isFree = ({ client }: Burst) => !this.blocked.has(client) && !clients[client]?.isClosed
    const bursts = step.bursts.filter(isFree)
    let byteCount = 0
    await Promise.all(
      bursts.map(async (burst) => {
        const bytes = bytesOf(withMark(burst, index))
        byteCount += bytes.length
        this.commandCount += burst.commands.length + 1
        await clients[burst.client]?.send(bytes, burst.cuts)
      }),
    )
    for (let turns = 2 + Math.ceil(byteCount / readBytes); turns > 0; turns -= 1)
      await control.ask()
    await this.settle(bursts, index)
    const isBusy = bursts.some(({ commands }) => endsSomething(commands) || mayBlock(commands))
    const needsFacts = isBusy || this.blocked.size > 0 || step.leaves !== undefined
    await control.ask()
    await control.ask()
    await turn()
    for (const [client, mark] of this.blocked) {
      if (hasMark(clients[client], mark)) this.blocked.delete(client)
    }
    return {
      step: { ...step, bursts },
      texts: clients.map((client) => normalised(client.take())),
      closed: clients.map(({ isClosed }) => isClosed),
      ...(needsFacts && !this.isLost && { facts: await control.facts() }),
    }
  }

  private async settle(bursts: readonly Burst[], index: number): Promise<void> {
    const { clients, control } = this
    const deadline = performance.now() + this.deadlines.silenceMs
    const isWaiting = bursts.some(({ commands }) => mayBlock(commands))
    for (;;) {
      const open = bursts.filter(({ client }) => {
        const one = clients[client]
        return one?.isClosed === false && !hasMark(one, markOf(index, client))
      })
      if (open.length === 0) return
      const before = [...this.blocked].filter(([client, mark]) => !hasMark(clients[client], mark))
      if (isWaiting && (await control.blockedCount()) === before.length + open.length) {
        for (const { client } of open) this.blocked.set(client, markOf(index, client))
        return
      }
      if (performance.now() > deadline) {
        this.isLost = true
        return
      }
      await control.ask()
    }
  }
}

/** Whether the mark was answered: with itself, or queued. */
function hasMark(client: FuzzClient | undefined, mark: string): boolean {
  if (client === undefined) return false
  return client.text.includes(`\r\n${mark}\r\n`) || client.text.endsWith('+QUEUED\r\n')
}

/** What servers learn of a little later through a sidecar: that something of a connection has ended. */
function endsSomething(commands: readonly Command[]): boolean {
  return commands.some(
    (command) =>
      typeof command === 'string' || /^(reset|quit|.?unsubscribe)$/i.test(command[0] ?? ''),
  )
}

/** The same through the sidecar; the first difference, if there is one. */
export async function runThrough(
  port: number,
  control: Control,
  transcript: Transcript,
  deadlines: Deadlines,
): Promise<Difference | undefined> {
  await control.reset()
  const clients = await openAll(port, transcript.program)
  let found: Difference | undefined
  for (const [index, result] of transcript.results.entries()) {
    found ??= await compareStep(clients, control, { result, index, deadlines })
  }
  const step = transcript.results.length
  const { contents } = transcript
  if (found === undefined && contents !== undefined) {
    const actual = await control.contents()
    const isEqual = actual === contents
    if (!isEqual) found = { step, client: -1, ...differingLines(contents, actual) }
  }
  for (const client of clients) client.destroy()
  const left = await control.clientsLeft(deadlines.replyMs)
  if (left === undefined) return found
  return found ?? { step, client: -1, expected: 'its clients are gone', actual: left }
}

interface Comparison {
  readonly result: StepResult
  readonly index: number
  readonly deadlines: Deadlines
}

async function compareStep(
  clients: readonly FuzzClient[],
  control: Control,
  { result, index, deadlines }: Comparison,
): Promise<Difference | undefined> {
  const { step, texts, closed, facts } = result
  if (step.leaves !== undefined) clients[step.leaves]?.destroy()
  await Promise.all(
    step.bursts.map(async (burst) => {
      await clients[burst.client]?.send(bytesOf(withMark(burst, index)), burst.cuts)
    }),
  )
  for (const [number, client] of clients.entries()) {
    const expected = texts[number] ?? ''
    const isClosed = closed[number] === true
    const isThere = () => client.isClosed || (!isClosed && isWhole(client.text, expected))
    await client.until(isThere, deadlines.replyMs)
    const actual = normalised(client.take())
    const end = (isEnded: boolean) => (isEnded ? '(closed)' : '')
    if (actual !== expected || client.isClosed !== isClosed) {
      return {
        step: index,
        client: number,
        expected: expected + end(isClosed),
        actual: actual + end(client.isClosed),
      }
    }
  }
  return facts === undefined ? undefined : compareFacts(control, facts, { index, deadlines })
}

function isWhole(text: string, expected: string): boolean {
  // Ids differ in length; that is looked at only when it may matter.
  const slack = 200
  if (text.length + slack < expected.length) return false
  return normalised(text).length >= expected.length
}

async function compareFacts(
  control: Control,
  expected: string,
  { index, deadlines }: Pick<Comparison, 'index' | 'deadlines'>,
): Promise<Difference | undefined> {
  const deadline = performance.now() + deadlines.replyMs
  for (;;) {
    const actual = await control.facts()
    if (actual === expected) return undefined
    if (performance.now() > deadline) return { step: index, client: -1, expected, actual }
    await turn()
  }
}

function differingLines(expected: string, actual: string): Pick<Difference, 'expected' | 'actual'> {
  const [one, other] = [expected.split('\n'), actual.split('\n')]
  const without = (lines: string[], others: string[]) =>
    lines.filter((line) => !others.includes(line)).join('\n')
  return { expected: without(one, other), actual: without(other, one) }
}
