/** What stands behind a run: it is emptied before, and looked at afterwards, on connections beside those of the program. */
import { setImmediate as turn } from 'node:timers/promises'
import { type FuzzClient, connectTo } from './client.ts'
import { type Command, bytesOf } from './program.ts'
import { channels } from './words.ts'

const goneDeadlineMs = 20_000

/** One server, or all servers of a backend. */
export interface Backend {
  /** Whether a message may come behind replies that one server would have put behind it. */
  readonly hasLateMessages: boolean
  /** Forgets what the last program did. */
  reset(): Promise<void>
  /** What is known of the clients, as text that is equal when it is. */
  facts(): Promise<string>
  /** Waits until the clients of a program are gone; what is left of them when the time is up, which it ends. */
  clientsLeft(timeoutMs: number): Promise<string | undefined>
  /** A digest of every value, by database and key. */
  contents(): Promise<string>
  /** A program begins: what is to happen meanwhile may begin too. */
  began?(): void
  /** All of a step was answered: waits until every server that may be asked next knows of it. */
  stepped?(): Promise<void>
  /** The program is over: waits until what happened meanwhile is over too. */
  calmed?(): Promise<void>
}

/** Of one server: the channels’ subscribers, the patterns, the clients that are blocked or tracking. */
type Counts = readonly number[]

interface Value {
  readonly database: string
  readonly key: string
  readonly facts: string
}

const shownFacts = (counts: Counts) => counts.join(' ')

function shownValues(values: readonly Value[]): string {
  const id = ({ database, key }: Value) => `${database} ${JSON.stringify(key)}`
  const lines = values.map((value) => `${id(value)} ${value.facts}`)
  return lines.toSorted().join('\n')
}

/** A server, with a connection beside those of the program. */
export class Control implements Backend {
  readonly hasLateMessages = false
  private readonly client: FuzzClient
  private readonly databases: readonly string[]
  private count = 0
  private readonly idleness = new Idleness(this)

  constructor(client: FuzzClient, databases: readonly string[]) {
    this.client = client
    this.databases = databases
  }

  static async open(
    port: number,
    databases: readonly string[] = ['0', '1', '2'],
  ): Promise<Control> {
    return new Control(await connectTo(port), databases)
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

  async reset(): Promise<void> {
    await this.idleness.wait()
    await this.clear()
  }

  async clear(): Promise<void> {
    const commands = [
      'FLUSHALL',
      'SCRIPT FLUSH',
      'FUNCTION FLUSH',
      'CONFIG SET maxmemory-samples 5',
    ]
    await this.ask(...commands.map((line) => line.split(' ')))
  }

  clientsLeft(timeoutMs: number): Promise<string | undefined> {
    return this.idleness.clientsLeft(timeoutMs)
  }

  async endClients(): Promise<void> {
    await this.ask(['CLIENT', 'KILL', 'TYPE', 'normal'], ['CLIENT', 'KILL', 'TYPE', 'pubsub'])
  }

  async blockedCount(): Promise<number> {
    const text = await this.ask(['INFO', 'clients'])
    return Number(/^blocked_clients:(\d+)/m.exec(text)?.[1])
  }

  async facts(): Promise<string> {
    return shownFacts(await this.counts())
  }

  async counts(): Promise<Counts> {
    const text = await this.ask(
      ['PUBSUB', 'NUMSUB', ...channels],
      ['PUBSUB', 'SHARDNUMSUB', ...channels],
      ['PUBSUB', 'NUMPAT'],
      ['INFO', 'clients'],
    )
    const found = text.match(/^(:|(blocked|tracking)_clients:)\d+/gm) ?? []
    return found.map((field) => Number(field.slice(field.indexOf(':') + 1)))
  }

  async contents(): Promise<string> {
    return shownValues(await this.values())
  }

  /** How many keys it was asked for. */
  async lookups(): Promise<number> {
    const text = await this.ask(['INFO', 'stats'])
    const found = [...text.matchAll(/^keyspace_(?:hits|misses):(\d+)/gm)]
    return found.reduce((sum, [, count]) => sum + Number(count), 0)
  }

  async isPrimary(): Promise<boolean> {
    return (await this.ask(['ROLE'])).startsWith('*3\r\n$6\r\nmaster')
  }

  async values(): Promise<Value[]> {
    const found: Value[] = []
    for (const database of this.databases) {
      const text = await this.ask(['SELECT', database], ['KEYS', '*'])
      const keys = bulksOf(text).toSorted()
      const digests = await this.ask(...keys.map((key) => ['DEBUG', 'DIGEST-VALUE', key]))
      const types = await this.ask(...keys.map((key) => ['TYPE', key]))
      const times = await this.ask(...keys.map((key) => ['PEXPIRETIME', key]))
      const [list, type, time] = [bulksOf(digests), types.split('\r\n'), times.split('\r\n')]
      keys.forEach((key, index) => {
        const facts = [type[index], time[index], list[index] ?? digests.slice(0, 100)]
        found.push({ database, key, facts: facts.join(' ') })
      })
    }
    await this.ask(['SELECT', '0'])
    return found
  }

  close(): void {
    this.client.destroy()
  }
}

/** Tells when the clients of a program are gone: when all is as it was before the first. */
class Idleness {
  private readonly of: Pick<Control, 'facts' | 'endClients'>
  private idleFacts: string | undefined

  constructor(of: Pick<Control, 'facts' | 'endClients'>) {
    this.of = of
  }

  async wait(): Promise<void> {
    const left = await this.clientsLeft(goneDeadlineMs)
    if (left !== undefined) throw new Error(`clients do not go away: ${left}`)
  }

  async clientsLeft(timeoutMs: number): Promise<string | undefined> {
    this.idleFacts ??= await this.of.facts()
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const facts = await this.of.facts()
      if (facts === this.idleFacts) return undefined
      if (performance.now() > deadline) {
        await this.of.endClients()
        return facts
      }
      await turn()
    }
  }
}

/** Several servers as one: sums of what each knows, and all that their primaries have. */
export class Group implements Backend {
  readonly hasLateMessages: boolean
  protected readonly members: readonly Control[]
  private readonly idleness = new Idleness(this)

  constructor(members: readonly Control[], options: Pick<Backend, 'hasLateMessages'>) {
    this.members = members
    this.hasLateMessages = options.hasLateMessages
  }

  private async primaries(): Promise<Control[]> {
    const roles = await Promise.all(this.members.map((member) => member.isPrimary()))
    return this.members.filter((_, at) => roles[at])
  }

  async reset(): Promise<void> {
    await this.idleness.wait()
    await Promise.all((await this.primaries()).map((primary) => primary.clear()))
  }

  clientsLeft(timeoutMs: number): Promise<string | undefined> {
    return this.idleness.clientsLeft(timeoutMs)
  }

  async endClients(): Promise<void> {
    await Promise.all(this.members.map((member) => member.endClients()))
  }

  async facts(): Promise<string> {
    const all = await Promise.all(this.members.map((member) => member.counts()))
    const [first = []] = all
    return shownFacts(first.map((_, at) => all.reduce((sum, counts) => sum + (counts[at] ?? 0), 0)))
  }

  async contents(): Promise<string> {
    const values = await Promise.all((await this.primaries()).map((one) => one.values()))
    return shownValues(values.flat())
  }

  close(): void {
    for (const member of this.members) member.close()
  }
}

/** The texts of an array of bulk or simple strings. */
export function bulksOf(reply: string): string[] {
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
