/** Counts commands that wait in an input. */
import { type RequestScanner, ScanStop } from '../resp/request-scanner.ts'
import type { Input } from './input.ts'
import type { Session } from './session.ts'

/** Commands of clients that wait for a primary, or for the end of a pause. */
export function countHeld(sessions: Iterable<Session>): number {
  let count = 0
  for (const session of sessions) {
    if (session.wait === 'held') count += countCommands(session.input, session.scanner)
  }
  return count
}

/** Whole commands in `input`, none of which was begun to be sent. Looks at them all. */
function countCommands(input: Input, scanner: RequestScanner): number {
  let count = 0
  scanner.reset()
  for (let at = input.start; at < input.end; ) {
    const stop = scanner.scan(input.bytes, at, input.end, Number.POSITIVE_INFINITY)
    count += scanner.count + (stop === ScanStop.special ? 1 : 0)
    if (stop !== ScanStop.special && stop !== ScanStop.skip) break
    at = scanner.frameEnd
    scanner.reset()
  }
  scanner.reset()
  return count
}
