/** Random programs: what several clients send, in which pieces and in which order. */
import { encodeCommand } from '../../sidecar/resp/encode.ts'
import { Random } from '../sim/random.ts'
import {
  canBeBound,
  crosses,
  crossing,
  drawTags,
  isSplit,
  type Profile,
  profiles,
  type Vocabulary,
} from './profile.ts'
import { keyless } from './vocabulary.ts'
import { drawWords, keyCount, type Place } from './words.ts'

/** Words, or bytes as they are. */
export type Command = readonly string[] | string

export interface Burst {
  readonly client: number
  readonly commands: readonly Command[]
  /** Where the bytes are cut, as offsets modulo their number. */
  readonly cuts: readonly number[]
  /** Ends the connection: what came behind it would destroy, on its way, what was answered. */
  readonly isEnd?: boolean
}

/** What is sent at once: by one client, or by several whose keys have nothing in common. */
export interface Step {
  readonly bursts: readonly Burst[]
  /** A client that goes away before. */
  readonly leaves?: number
}

export interface Program {
  readonly protocols: readonly (2 | 3)[]
  readonly steps: readonly Step[]
}

const clientsMax = 4
const stepsMax = 40
const watched = 'x {any} {any}'

interface ClientState {
  inTransaction: boolean
  hasPattern: boolean
  /** Where keys are spread: the tag of all keys of what is being watched or queued. */
  tag?: string | undefined
}

export function randomProgram(seed: number, profile: Profile = profiles.oneServer): Program {
  return new Generator(new Random(seed), profile).program()
}

class Generator {
  private readonly random: Random
  private readonly states: ClientState[] = []
  private readonly words: Vocabulary
  private readonly isSpread: boolean
  private readonly isShallow: boolean
  private isParallel = false
  /** Whether commands are refused for their keys; then nobody subscribes, which is refused for another reason. */
  private mayCross = false

  constructor(random: Random, profile: Profile) {
    this.random = random
    this.words = profile.vocabulary
    this.isSpread = profile.isSpread
    this.isShallow = profile.isShallow === true
  }

  program(): Program {
    const { random } = this
    const count = 1 + random.below(clientsMax)
    const protocols = Array.from({ length: count }, () => random.pick([2, 3] as const))
    for (let index = 0; index < count; index += 1) {
      this.states.push({ inTransaction: false, hasPattern: false })
    }
    this.isParallel = count > 1 && random.chance(0.3)
    this.mayCross = this.isSpread && random.chance(0.5)
    const steps: Step[] = []
    for (let left = 1 + random.below(stepsMax); left > 0; left -= 1) steps.push(this.step())
    return { protocols, steps }
  }

  private step(): Step {
    const { random, states } = this
    const clients = states.map((_, index) => index)
    if (this.isParallel) return { bursts: clients.map((client) => this.burst(client)) }
    const client = random.pick(clients)
    const leaver = random.pick(clients)
    const mayLeave = states.length > 1 && states[leaver]?.hasPattern === false
    const step = { bursts: [this.burst(client)] }
    return mayLeave && random.chance(0.01) ? { ...step, leaves: leaver } : step
  }

  private burst(client: number): Burst {
    const { random } = this
    const commands = withoutShortWaits(this.commands(client))
    let cuts: number[] = []
    if (random.chance(0.5)) {
      cuts = Array.from({ length: 1 + random.below(6) }, () => random.below(1 << 30))
    } else if (random.chance(0.03)) cuts = Array.from({ length: 200 }, (_, at) => at)
    const last = commands.at(-1)
    const isEnd = foreign.some((command) => command === last)
    return isEnd ? { client, commands, cuts: [], isEnd } : { client, commands, cuts }
  }

  private commands(client: number): Command[] {
    const { random } = this
    const state = this.states[client]
    if (state === undefined) return []
    const kind = random.next()
    if (state.inTransaction) return this.insideTransaction(client, state)
    if (kind < 0.15) return this.transaction(client, state)
    if (kind < 0.24) return [...this.some(client, 2), this.from(this.words.connection, client)]
    if (kind < (this.isSpread ? 0.27 : 0.26)) return this.silent(client)
    if (kind < 0.27) return [...this.some(client, 3), random.pick(foreign)]
    if (kind < 0.28) return [...this.some(client, 3), ['ECHO', 'client-id'], ['CLIENT', 'ID']]
    if (this.isParallel) return this.some(client, this.depth())
    if (kind < 0.33 && !this.mayCross) return this.subscription(client, state)
    if (kind < 0.38) {
      return [
        ...this.some(client, 2),
        this.from(this.words.blocking, client),
        this.from(behindWait, client),
      ]
    }
    return this.some(client, this.depth())
  }

  /** One line in twenty is deep. */
  private depth(): number {
    const { random } = this
    if (random.chance(0.006)) return 500 + random.below(1500)
    return 1 + random.below(random.chance(0.09) ? 100 : 10)
  }

  private some(client: number, countMax: number): Command[] {
    const isBound = this.states[client]?.inTransaction === true
    if (this.isShallow && !isBound) return [this.ordinary(client)]
    const count = countMax > 10 ? countMax : this.random.below(countMax + 1)
    return Array.from({ length: count }, () => this.ordinary(client))
  }

  private ordinary(client: number): Command {
    const { random } = this
    const kind = random.next()
    const isQueued = this.isSpread && this.states[client]?.inTransaction === true
    if (this.mayCross && !isQueued && random.chance(0.02)) return this.from(crossing, client)
    if (kind < 0.08) return this.from(this.words.keyless, client)
    if (kind < 0.22 && !this.isParallel && !isQueued) return this.from(this.words.common, client)
    const words = this.from(this.words.keyed, client)
    if (/^(SPOP|.*RAND.*|SORT|SADD|EVAL)$/i.test(words[0] ?? '')) return words
    if (kind < 0.24 && !(this.isSpread && /^MSETNX/i.test(words[0] ?? ''))) {
      return words.slice(0, random.below(words.length - 1) + 1)
    }
    // Where keys are spread these might be keys with another tag.
    if (kind < 0.25) return this.isSpread ? [...words] : [...words, 'more', 'x']
    if (kind < 0.28 && waitOf(words) === 'none') return inline(words, random)
    return words
  }

  private from(lines: readonly string[], client: number): string[] {
    const { random } = this
    const drawn = random.pick(lines)
    const isBound = this.states[client]?.tag !== undefined
    const line = isBound && !canBeBound(drawn) ? 'PING' : drawn
    const place: Place = {
      random,
      prefix: this.isParallel ? `${client}:` : '',
      isMoving: this.isShallow,
      ...(this.isSpread && { tag: this.tagsFor(line, lines === crossing, this.states[client]) }),
    }
    const [name = '', ...rest] = drawWords(line, place)
    // A server may keep what it learns of a tracked key from another client’s command for later.
    const isShared = name === 'CLIENT' && rest[0] === 'TRACKING' && this.isParallel
    if (isShared) return ['PING']
    return [random.chance(0.1) ? mixedCase(name, random) : name, ...rest]
  }

  private tagsFor(line: string, isCrossing: boolean, state?: ClientState): () => string {
    const { random } = this
    if (isCrossing) {
      let count = 0
      return () => drawTags.crossing[Math.min(1, count++)] ?? ''
    }
    const { tag } = state ?? {}
    // What is watched and what is waited for must be on one connection.
    const isBound = state?.inTransaction === true || line === watched || /^B[LRZ]|BLOCK/.test(line)
    if (tag !== undefined && isBound) return () => tag
    if (isSplit(line)) return () => random.pick(drawTags.alone)
    const one = random.pick(keyCount(line) > 1 ? drawTags.ordinary : drawTags.alone)
    return () => one
  }

  private transaction(client: number, state: ClientState): Command[] {
    if (this.isSpread) state.tag ??= this.random.pick(drawTags.ordinary)
    // A server forgets who watches when the keys go to another: EXEC does nothing then.
    const watch =
      !this.isShallow && this.random.chance(0.4)
        ? [['WATCH', ...this.from([watched], client).slice(1)]]
        : []
    if (watch.length > 0 && this.random.chance(0.4)) return watch
    state.inTransaction = true
    return [...watch, ['MULTI'], ...this.insideTransaction(client, state)]
  }

  private insideTransaction(client: number, state: ClientState): Command[] {
    const { random } = this
    const commands = this.some(client, 8)
    if (random.chance(0.05)) commands.push(random.pick([['MULTI'], ['WATCH', 'x']]))
    if (!this.isParallel && random.chance(0.04))
      commands.push(this.from(this.words.blocking, client))
    if (random.chance(0.05)) commands.push(this.from(this.words.logins, client))
    if (random.chance(0.75)) {
      state.inTransaction = false
      state.tag = undefined
      commands.push(random.pick([['EXEC'], ['EXEC'], ['EXEC'], ['DISCARD'], ['RESET']]))
      commands.push(...this.some(client, 2))
    }
    return commands
  }

  private subscription(client: number, state: ClientState): Command[] {
    const words = this.from(this.words.subscriptions, client)
    if (/^psub/i.test(words[0] ?? '')) state.hasPattern = true
    return this.random.chance(0.3) ? [words, ['RESET']] : [words, ...this.some(client, 2)]
  }

  private silent(client: number): Command[] {
    if (this.isSpread && !this.isParallel && this.random.chance(0.5)) {
      const published = this.from(['PUBLISH {channel} {value}'], client)
      return [['CLIENT', 'REPLY', 'SKIP'], published, ['PING'], ...this.some(client, 2)]
    }
    if (this.random.chance(0.5)) {
      return [['CLIENT', 'REPLY', 'SKIP'], this.from(this.words.keyed, client), ['PING']]
    }
    const off = ['CLIENT', 'REPLY', 'OFF']
    return [off, ...this.some(client, 5), ['CLIENT', 'REPLY', 'ON']]
  }
}

/** Each ends the connection. */
const foreign: readonly Command[] = [
  ['QUIT'],
  '*1\r\n:1\r\n',
  '*1\r\n$-5\r\n',
  '*x\r\n',
  '*2\r\n$3\r\nGET\r\n$x\r\n',
  'SET a "x\r\n',
  '*3000000000\r\n',
]

function mixedCase(name: string, random: Random): string {
  return name.replace(/[A-Z]/g, (letter) => (random.chance(0.5) ? letter.toLowerCase() : letter))
}

/** The same command as a line, with whatever quotes it needs. */
function inline(words: readonly string[], random: Random): Command {
  if (words.join('').length > 2000) return words
  const quoted = words.map((word) => {
    if (/^[a-z0-9.:-]+$/i.test(word) && random.chance(0.8)) return word
    const escape = (letter: string) => `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`
    return `"${word.replace(/[^a-z0-9 ]/gi, escape)}"`
  })
  const empty = random.chance(0.2) ? random.pick(['\r\n', '\n', '*0\r\n', '*-1\r\n']) : ''
  return `${empty}${quoted.join(random.pick([' ', '  ', '\t']))}${random.pick(['\r\n', '\n'])}`
}

export function bytesOf(commands: readonly Command[]): Buffer {
  return Buffer.concat(
    commands.map((command) =>
      typeof command === 'string' ? Buffer.from(command, 'latin1') : encodeCommand(command),
    ),
  )
}

const endsWithTimeout = /^(blpop|brpop|blmove|brpoplpush|bzpopmin|bzpopmax)$/i
const beginsWithTimeout = /^(blmpop|bzmpop)$/i

/** How long a command may wait for another client: `end` is up to the client, `time` is bounded. */
function waitOf(command: Command): 'none' | 'time' | 'end' {
  if (typeof command === 'string') return 'none'
  const [name = '', ...rest] = command
  let timeout: string | undefined
  if (/^wait$/i.test(name)) timeout = 'finite'
  else if (endsWithTimeout.test(name)) timeout = rest.at(-1)
  else if (beginsWithTimeout.test(name)) timeout = rest[0]
  else if (/^xread(group)?$/i.test(name)) {
    const at = rest.findIndex((word) => word.toUpperCase() === 'BLOCK')
    timeout = at < 0 ? undefined : rest[at + 1]
  }
  if (timeout === undefined) return 'none'
  return timeout === '0' ? 'end' : 'time'
}

/** Whether something in it can wait for another client without end. */
export function mayBlock(commands: readonly Command[]): boolean {
  return commands.some((command) => waitOf(command) === 'end')
}

/** A client that waits without end must not wait for a time as well: it could not be told which it does. */
function withoutShortWaits(commands: readonly Command[]): readonly Command[] {
  if (!mayBlock(commands)) return commands
  return commands.filter((command) => waitOf(command) !== 'time')
}

/** Scripts that are run then are known from then on, to others too. */
const behindWait = keyless.filter((line) => !line.startsWith('EVAL '))
const behindWaitNames = new Set(behindWait.map((line) => line.split(' ')[0]))

/**
 * Whether two servers, or one twice, do the same: what is behind a command that waits without end is run as soon as
 * it is over, at the same time as the rest of what ended it, and so may not touch data. A HELLO that
 * changes the protocol is queued by servers in a transaction and refused there by the sidecar.
 */
export function isComparable(program: Program): boolean {
  const clients = program.protocols.map(() => new Comparability())
  return program.steps.every(({ bursts }) =>
    bursts.every(({ client, commands }) => clients[client]?.takes(commands) !== false),
  )
}

class Comparability {
  private isOpen = false

  takes(commands: readonly Command[]): boolean {
    let isWaiting = false
    for (const command of commands) {
      const name = typeof command === 'string' ? '' : (command[0] ?? '').toUpperCase()
      const crossed = typeof command === 'string' ? 'no' : crosses(command)
      if (crossed === 'not any more' || (crossed === 'yes' && this.isOpen)) return false
      if (isWaiting && !behindWaitNames.has(name)) return false
      if (name === 'HELLO' && this.isOpen && command.length > 1) return false
      if (name === 'MULTI') this.isOpen = true
      else if (/^(EXEC|DISCARD|RESET)$/.test(name)) this.isOpen = false
      if (!this.isOpen && waitOf(command) === 'end') isWaiting = true
    }
    return true
  }
}
