/**
 * What one connection of the fuzzer sends and what may come back. Cases that leave their connection in order are
 * followed by a marker and the next case; the first that does not is the last. Only commands whose replies depend on
 * nothing but their connection are used, so that the server itself can be asked what is right.
 */
import { command } from '../wire.ts'
import { canaryPrefix, makeCase } from './cases.ts'
import { type Bounds, type Reading, read } from './model.ts'
import type { Random } from './random.ts'

export interface Plan {
  readonly prologue: Buffer
  readonly cases: readonly Buffer[]
  readonly bytes: Buffer
  readonly reading: Reading
  /** Offsets at which the bytes are cut into packets. */
  readonly cuts: readonly number[]
  /** The client goes before it is answered: nothing can be compared. */
  readonly isAbandoned: boolean
}

export interface PlanOptions {
  readonly bounds: Bounds
  /** Upper-case names of all commands that the server knows. */
  readonly known: ReadonlySet<string>
  readonly casesMax: number
  readonly mayChangeProtocol: boolean
}

export function makePlan(random: Random, options: PlanOptions): Plan {
  for (;;) {
    const plan = assemble(makeParts(random, options), options.bounds)
    const cuts = cutPoints(random, plan.bytes.length)
    const isAbandoned = random.chance(0.02)
    // What a torn case makes of the marker behind it counts too.
    if (isTestable(plan.reading, options.known)) return { ...plan, cuts, isAbandoned }
  }
}

function makeParts(random: Random, options: PlanOptions): Pick<Plan, 'cases' | 'prologue'> {
  const isThree = options.mayChangeProtocol && random.chance(0.125)
  const cases: Buffer[] = []
  const wanted = 1 + random.int(options.casesMax)
  let isOrderly = true
  while (isOrderly && cases.length < wanted) {
    const made = makeCase(random)
    const reading = read(made.toString('latin1'), options.bounds)
    if (!isTestable(reading, options.known)) continue
    cases.push(made)
    isOrderly = reading.end === 'whole'
  }
  return { cases, prologue: isThree ? command('HELLO', '3') : Buffer.alloc(0) }
}

/** The same, of other parts. */
export function assemble(parts: Pick<Plan, 'cases' | 'prologue'>, bounds: Bounds): Plan {
  const marked = parts.cases.flatMap((bytes, index) => [bytes, command('ECHO', `m${index}`)])
  const bytes = Buffer.concat(marked)
  const reading = read(bytes.toString('latin1'), bounds)
  return { ...parts, bytes, reading, cuts: [], isAbandoned: false }
}

function cutPoints(random: Random, length: number): number[] {
  if (!random.chance(0.2) || length < 2) return []
  if (length < 60 && random.chance(0.3))
    return Array.from({ length: length - 1 }, (_, index) => index + 1)
  const count = 1 + random.int(4)
  const points = Array.from({ length: count }, () => 1 + random.int(length - 1))
  return [...new Set(points)].sort((one, other) => one - other)
}

const reads: ReadonlySet<string> = new Set(['EXISTS', 'GET', 'STRLEN'])
const harmless: ReadonlySet<string> = new Set([
  'DISCARD',
  'ECHO',
  'EXEC',
  'MULTI',
  'PING',
  'QUIT',
  'RESET',
  'SELECT',
])

/** Whether the server’s answers to these commands depend on this connection alone, and no canary is written. */
export function isTestable(reading: Reading, known: ReadonlySet<string>): boolean {
  return reading.commands.every((words) => {
    const name = (words[0] ?? '').toUpperCase()
    if (harmless.has(name) || !known.has(name)) return true
    if (reads.has(name)) return words.slice(1).every((key) => key.startsWith(canaryPrefix))
    if (name === 'SET') return words.length <= 3 && isOwn(words[1])
    if (name === 'MSET') return words.every((word, index) => index % 2 === 0 || isOwn(word))
    if (name === 'EVAL')
      return words.length < 3 || (words[1] === 'return ARGV' && /^\d?$/.test(words[2] ?? ''))
    return false
  })
}

function isOwn(key: string | undefined): boolean {
  return key === undefined || key.startsWith('w')
}
