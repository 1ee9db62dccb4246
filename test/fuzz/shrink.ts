/** Makes a program that fails as small as it can be made within a time. */
import type { Burst, Command, Program, Step } from './program.ts'

export async function shrunk(
  program: Program,
  stillFails: (program: Program) => Promise<boolean>,
  timeMs: number,
): Promise<Program> {
  let best = program
  const deadline = performance.now() + timeMs
  for (let isBetter = true; isBetter; ) {
    isBetter = false
    for (const candidate of smallerOnes(best)) {
      if (performance.now() > deadline) return best
      if (!(await stillFails(candidate))) continue
      best = candidate
      isBetter = true
      break
    }
  }
  return best
}

/** Every one is smaller in some way; the most promising first. */
function* smallerOnes(program: Program): Generator<Program> {
  const { steps } = program
  for (const part of parts(steps)) yield { ...program, steps: part }
  for (const [index, step] of steps.entries()) {
    for (const smaller of smallerSteps(step)) {
      yield { ...program, steps: steps.with(index, smaller) }
    }
  }
}

function* smallerSteps(step: Step): Generator<Step> {
  const { bursts, leaves } = step
  if (leaves !== undefined) yield { bursts }
  if (bursts.length > 1) for (const part of parts(bursts)) yield { ...step, bursts: part }
  for (const [index, burst] of bursts.entries()) {
    for (const smaller of smallerBursts(burst)) {
      yield { ...step, bursts: bursts.with(index, smaller) }
    }
  }
}

function* smallerBursts(burst: Burst): Generator<Burst> {
  const { commands, cuts } = burst
  if (cuts.length > 0) yield { ...burst, cuts: [] }
  for (const part of parts(commands)) yield { ...burst, commands: part }
  for (const part of cuts.length > 1 ? parts(cuts) : []) yield { ...burst, cuts: part }
  for (const [index, command] of commands.entries()) {
    for (const smaller of smallerCommands(command)) {
      yield { ...burst, commands: commands.with(index, smaller) }
    }
  }
}

function* smallerCommands(command: Command): Generator<Command> {
  if (typeof command === 'string') return
  for (const [index, word] of command.entries()) {
    // A key stays where it is.
    const short = `${/^\{[^}]*\}/.exec(word)?.[0] ?? ''}v`
    if (index > 0 && word.length > 8 && word !== short) yield command.with(index, short)
  }
}

/** The list without a half, a quarter, … of itself. */
function* parts<T>(list: readonly T[]): Generator<readonly T[]> {
  for (let size = Math.ceil(list.length / 2); size >= 1; size = size === 1 ? 0 : size >> 1) {
    for (let at = 0; at < list.length; at += size) {
      yield [...list.slice(0, at), ...list.slice(at + size)]
    }
  }
}
