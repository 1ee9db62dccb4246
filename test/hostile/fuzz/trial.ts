/** One connection of the fuzzer through the proxy, and the commands in it, as strictly read, sent to the server itself. */
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { ReplyScanner } from '../../../sidecar/resp/reply-scanner.ts'
import { command, open, type Wire } from '../wire.ts'
import type { Plan } from './plan.ts'

export interface Places {
  readonly port: number
  /** A server of the same kind that only well-formed commands reach. */
  readonly oraclePort: number
  /** Clients have given no password: they get one answer, whatever they ask, unknown commands included. */
  readonly isLogin: boolean
}

const deadlineMs = 15_000
const anyProtocolError = /^-ERR Protocol error: [^\r\n]{1,200}\r\n$/

/** What is wrong with what came, or nothing. */
export async function runTrial(plan: Plan, places: Places): Promise<string | undefined> {
  const [wire, oracle] = await Promise.all([open(places.port), open(places.oraclePort)])
  try {
    wire.send(plan.prologue)
    await sendCut(wire, plan)
    if (plan.isAbandoned) {
      wire.socket.resetAndDestroy()
      return undefined
    }
    wire.socket.end()
    oracle.send(plan.prologue)
    if (!places.isLogin) {
      oracle.send(Buffer.concat(plan.reading.commands.map((words) => command(...words))))
    }
    oracle.socket.end()
    if (!(await haveClosed([wire, oracle]))) {
      return `the connection did not end within ${deadlineMs} ms of FIN; it gave ${show(wire.received)}`
    }
    const { isLogin } = places
    return compare(plan, wire.received, isLogin ? refusals(plan) : oracle.received)
  } finally {
    wire.socket.destroy()
    oracle.socket.destroy()
  }
}

async function sendCut(wire: Wire, plan: Plan): Promise<void> {
  let from = 0
  for (const to of plan.cuts) {
    wire.send(plan.bytes.subarray(from, to))
    from = to
    await nextTurn()
  }
  wire.send(plan.bytes.subarray(from))
}

async function haveClosed(wires: readonly Wire[]): Promise<boolean> {
  const closed = wires.map(
    (wire) =>
      new Promise<true>((resolve) => {
        if (wire.isClosed) resolve(true)
        wire.socket.once('close', () => resolve(true))
      }),
  )
  const patience = new AbortController()
  const late = delay(deadlineMs, false, { signal: patience.signal }).catch(() => false)
  const isClosed = await Promise.race([Promise.all(closed).then(() => true), late])
  patience.abort()
  return isClosed
}

/** What clients get that have given no password. */
function refusals(plan: Plan): Buffer {
  const replies = plan.reading.commands.map((words) => {
    const name = (words[0] ?? '').toUpperCase()
    if (name === 'QUIT') return '+OK\r\n'
    if (name !== 'RESET') return '-NOAUTH Authentication required.\r\n'
    const isRight = words.length === 1
    return isRight ? '+RESET\r\n' : "-ERR wrong number of arguments for 'reset' command\r\n"
  })
  return Buffer.from(replies.join(''))
}

function compare(plan: Plan, came: Buffer, right: Buffer): string | undefined {
  const hasHello = plan.prologue.length > 0
  const got = hasHello ? lessFirst(came) : came
  const expected = hasHello ? lessFirst(right) : right
  const { end } = plan.reading
  if (end === 'foreign') {
    const isPrefix = expected.subarray(0, got.length).equals(got)
    return isPrefix ? undefined : `not a part of ${show(expected)}: ${show(got)}`
  }
  if (!got.subarray(0, expected.length).equals(expected)) {
    return `the server answers ${show(expected)}; this came: ${show(got)}`
  }
  const rest = got.toString('latin1', expected.length)
  const mayBeNothing = end !== 'error'
  const mayBeError = end === 'error' || end === 'either'
  if ((mayBeNothing && rest === '') || (mayBeError && anyProtocolError.test(rest))) return undefined
  return `the input is ${end}; after the right replies came ${JSON.stringify(rest.slice(0, 300))}`
}

function lessFirst(bytes: Buffer): Buffer {
  const scanner = new ReplyScanner({ allowsPushes: true, lineBytesMax: 1 << 20 })
  return scanner.scan(bytes, 0, bytes.length, 1) ? bytes.subarray(scanner.position) : bytes
}

const show = (bytes: Buffer) => JSON.stringify(bytes.toString('latin1', 0, 300))
