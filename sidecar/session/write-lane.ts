/** Which shared connection takes a run of commands where writes wait for replicas: reads are not to wait with them. */
import { NameMark } from '../resp/request-scanner.ts'
import type { SharedLane } from '../upstream/shared-lane.ts'
import type { Session } from './session.ts'

/** For the commands at the start of the input, `count` in `byteCount`. */
export function sharedLaneOf(session: Session, byteCount: number, count: number): SharedLane {
  const { context, protocol, window } = session
  const { primary, upstream } = context
  if (session.isForwardingScript) return primary.scriptLane(protocol)
  if (upstream.writes !== undefined && mayWrite(session, byteCount, count)) {
    return primary.writeLane(protocol)
  }
  return primary.lane(protocol, session.id, window.isNewcomer)
}

/** Whether one of them may be a write, as far as the scan that passed over them told. */
function mayWrite({ scanner, input, context }: Session, byteCount: number, count: number): boolean {
  const { rules } = context
  const isScanned = scanner.count === count && scanner.position - input.start === byteCount
  if (isScanned && rules.tellsApart) return (scanner.marks & NameMark.writes) !== 0
  rules.tellApart()
  return true
}
