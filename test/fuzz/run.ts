/**
 * Runs a program on a server, where it is seen when all of a step has been done, and then through the sidecar, step by
 * step with the same bytes, where all must come that came there.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { type FuzzClient, connectTo, normalised, withMessagesLast } from './client.ts'
import { type Backend, bulksOf, type Control } from './control.ts'
import { crosses, refusal } from './profile.ts'
import { type Burst, type Command, type Program, type Step, bytesOf, mayBlock } from './program.ts'

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

/** One more command behind every burst tells that all of it has been answered. */
const markOf = (step: number, client: number) => `mark-${step}-${client}.`

function withMark(burst: Burst, step: number): readonly Command[] {
  if (burst.isEnd === true) return burst.commands
  return [...burst.commands, ['PING', markOf(step, burst.client)]]
}

/** As one server has to be asked for what a backend that keys are spread over must answer. */
function forOneServer(commands: readonly Command[]): readonly Command[] {
  return commands.map((command) =>
    typeof command !== 'string' && crosses(command) === 'yes' ? refusal : command,
  )
}

/** A server reads so much at a time. */
const readBytes = 16_384
/** More than any program needs: a scan that goes on then does not end. */
const scanCallsMax = 1000

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
        const bytes = bytesOf(forOneServer(withMark(burst, index)))
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
  backend: Backend,
  transcript: Transcript,
  deadlines: Deadlines,
): Promise<Difference | undefined> {
  await backend.reset()
  const clients = await openAll(port, transcript.program)
  backend.began?.()
  let found: Difference | undefined
  for (const [index, result] of transcript.results.entries()) {
    if (found !== undefined) break
    await backend.stepped?.()
    found = await compareStep(clients, backend, { result, index, deadlines })
  }
  await backend.calmed?.()
  const step = transcript.results.length
  const { contents } = transcript
  if (found === undefined && contents !== undefined) {
    const actual = await backend.contents()
    const isEqual = actual === contents
    if (!isEqual) found = { step, client: -1, ...differingLines(contents, actual) }
    found ??= await keyspaceDifference(port, contents, { step, ...deadlines })
  }
  for (const client of clients) client.destroy()
  const left = await backend.clientsLeft(deadlines.replyMs)
  if (left === undefined) return found
  return found ?? { step, client: -1, expected: 'its clients are gone', actual: left }
}

/** What a client is told of all keys must be all keys, wherever they are. */
async function keyspaceDifference(
  port: number,
  contents: string,
  { step, replyMs }: { readonly step: number; readonly replyMs: number },
): Promise<Difference | undefined> {
  const lines = contents.split('\n').filter((line) => line.startsWith('0 '))
  const keys = lines.map((line) => JSON.parse(/^0 ("(?:[^"\\]|\\.)*")/.exec(line)?.[1] ?? '""'))
  const client = await connectTo(port)
  try {
    const ask = async (...command: string[]) => {
      await client.send(bytesOf([command, ['ECHO', 'end-of-keys']]), [])
      await client.until(() => client.text.endsWith('end-of-keys\r\n'), replyMs)
      return client.take().replace(/\$11\r\nend-of-keys\r\n$/, '')
    }
    const scanned = new Set<string>()
    let cursor = '0'
    for (let calls = 0; calls === 0 || (cursor !== '0' && calls < scanCallsMax); calls += 1) {
      const [next = '0', ...found] = bulksOf(await ask('SCAN', cursor))
      for (const key of found) scanned.add(key)
      cursor = next
    }
    const listed = bulksOf(await ask('KEYS', '*'))
    const expected = `DBSIZE :${keys.length} KEYS ${shownKeys(keys)} SCAN ${shownKeys(keys)}`
    const size = (await ask('DBSIZE')).trim()
    const actual = `DBSIZE ${size} KEYS ${shownKeys(listed)} SCAN ${shownKeys([...scanned])}`
    return actual === expected ? undefined : { step, client: -1, expected, actual }
  } finally {
    client.destroy()
  }
}

const shownKeys = (keys: readonly string[]) => JSON.stringify(keys.toSorted())

interface Comparison {
  readonly result: StepResult
  readonly index: number
  readonly deadlines: Deadlines
}

async function compareStep(
  clients: readonly FuzzClient[],
  backend: Backend,
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
    const ordered = backend.hasLateMessages ? withMessagesLast : (text: string) => text
    const expected = ordered(texts[number] ?? '')
    const isClosed = closed[number] === true
    const isThere = () => client.isClosed || (!isClosed && isWhole(client.text, expected))
    await client.until(isThere, deadlines.replyMs)
    let actual = ordered(normalised(client.take()))
    if (actual !== expected && !client.isClosed) {
      // All of it is to be shown: what is longer than expected is thought to be whole too early.
      await client.until(
        () => client.text.endsWith(expected.slice(-markBytes)),
        deadlines.silenceMs,
      )
      actual = ordered(actual + normalised(client.take()))
    }
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
  return facts === undefined ? undefined : compareFacts(backend, facts, { index, deadlines })
}

/** Of the last reply of a step. */
const markBytes = 12

function isWhole(text: string, expected: string): boolean {
  // Ids differ in length; that is looked at only when it may matter.
  const slack = 200
  if (text.length + slack < expected.length) return false
  return normalised(text).length >= expected.length
}

async function compareFacts(
  backend: Backend,
  expected: string,
  { index, deadlines }: Pick<Comparison, 'index' | 'deadlines'>,
): Promise<Difference | undefined> {
  const deadline = performance.now() + deadlines.replyMs
  for (;;) {
    const actual = await backend.facts()
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
