/** A subscriber changes its protocol: its servers have to speak the other one, as RESP2 has other messages. */
import type { Link } from '../../pubsub/link.ts'
import type { Session } from '../session.ts'

/** Has all connections of its subscriptions speak the session’s protocol, and calls `then` before the next message. */
export function speakAll({ subscriber, protocol }: Session, then: () => void): void {
  const links: Link[] = [...(subscriber.links?.links.values() ?? [])]
  let left = links.length
  if (left === 0) return then()
  for (const link of links) {
    link.speak(protocol, () => {
      left -= 1
      if (left === 0) then()
    })
  }
}
