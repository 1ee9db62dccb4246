/** Makes a failing input smaller as long as it fails. */
import { assemble, isTestable, type Plan, type PlanOptions } from './plan.ts'
import { type Places, runTrial } from './trial.ts'

export interface Failure {
  readonly why: string
  /** A string literal, a character per byte. */
  readonly input: string
  readonly isReproduced: boolean
}

const trialsMax = 400

export async function shrink(
  plan: Plan,
  why: string,
  options: PlanOptions,
  places: Places,
): Promise<Failure> {
  let left = trialsMax
  const fails = async (cases: readonly Buffer[], prologue: Buffer) => {
    const smaller = assemble({ cases, prologue }, options.bounds)
    if (left <= 0 || smaller.bytes.length === 0 || !isTestable(smaller.reading, options.known))
      return undefined
    left -= 1
    return runTrial(smaller, places).catch((error: Error) => error.message)
  }
  let { cases } = plan
  let found = await fails(cases, plan.prologue)
  if (found === undefined) return { why, input: literal(plan), isReproduced: false }
  for (let index = cases.length - 1; index >= 0; index -= 1) {
    const fewer = cases.toSpliced(index, 1)
    const still = await fails(fewer, plan.prologue)
    if (still !== undefined) [cases, found] = [fewer, still]
  }
  let size = Math.max(1, ...cases.map((bytes) => bytes.length >> 1))
  for (; size >= 1; size >>= 1) {
    for (let index = 0; index < cases.length; index += 1) {
      for (let at = 0; at < (cases[index] as Buffer).length; ) {
        const bytes = cases[index] as Buffer
        const fewer = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + size)])
        const still = await fails(cases.toSpliced(index, 1, fewer), plan.prologue)
        if (still === undefined) at += size
        else [cases, found] = [cases.toSpliced(index, 1, fewer), still]
      }
    }
  }
  const least = assemble({ cases, prologue: plan.prologue }, options.bounds)
  return { why: found, input: literal(least), isReproduced: true }
}

function literal(plan: Plan): string {
  return JSON.stringify(
    Buffer.concat([plan.prologue, plan.bytes]).toString('latin1').slice(0, 4000),
  )
}
