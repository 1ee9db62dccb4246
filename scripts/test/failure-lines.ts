/** What is said of failures at the end of a run, where a record that keeps only its last lines still has them. */
import { inspect, stripVTControlCharacters } from 'node:util'
import type { Failure } from './outcome.ts'

/** Lines that are kept of one error. */
const saidMax = 3
const lineLengthMax = 300
/** Lines that all failures may take together: of many, less is told of each. */
const linesMax = 20

/** The lines of an error that tell most: its message, and of values that differ the first that do; for one that the runner made of another, where that was thrown. */
export function saidBy(error: unknown): string[] {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const told = cause instanceof Error ? cause.message : cause
  const text = typeof told === 'string' ? told : inspect(told)
  const lines = stripVTControlCharacters(text)
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !line.startsWith('+ actual'))
  const [first = '', ...rest] = lines
  const differing = rest.filter((line) => /^\s*[+-] /.test(line))
  const place = cause instanceof Error && cause !== error ? placeOf(cause) : undefined
  const head = `${cut(first)}${place === undefined ? '' : ` (at ${place})`}`
  const more = differing.length > 0 ? differing : rest
  return [head, ...more.slice(0, saidMax - 1).map(cut)]
}

/** Where in this checkout it was thrown. */
function placeOf({ stack = '' }: Error): string | undefined {
  for (const line of stack.split('\n')) {
    if (!/^\s+at /.test(line) || line.includes('node_modules')) continue
    const [, place] = /file:\/\/(\/.*?:\d+):\d+\)?$/.exec(line) ?? []
    if (place !== undefined) return place.replace(`${process.cwd()}/`, '')
  }
  return undefined
}

function cut(line: string): string {
  return line.length <= lineLengthMax ? line : `${line.slice(0, lineLengthMax)} …`
}

/** Each failure, with as much of what it said as there is room for. */
export function failureLines(failures: readonly Failure[]): string[] {
  const each = Math.min(saidMax, Math.floor(linesMax / Math.max(1, failures.length)) - 1)
  return failures.flatMap(({ where, said }) => [
    `FAILED: ${where}`,
    ...said.slice(0, Math.max(0, each)).map((line) => `    ${line}`),
  ])
}
