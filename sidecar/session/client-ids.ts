/**
 * The ids that clients have with us. A server knows connections, and which of them is a client’s changes; so a
 * client has an id of its own, the same from HELLO to its end and out of the range of a server’s. Where a client
 * names one, the server is told of the connection that it has at present, and where the server names that
 * connection the client is told the id.
 */
import { encodeCommand } from '../resp/encode.ts'
import type { SessionContext } from './context.ts'
import type { PinnedLane } from '../upstream/pinned-lane.ts'
import type { Session } from './session.ts'
import type { SpecialCommand } from './special.ts'

/** Ids are counted from here: no server counts as far, and no two sidecars are likely to begin alike. */
export function firstClientId(random: () => number): number {
  return 2 ** 52 + Math.floor(random() * 2 ** 20) * 2 ** 31
}

/** The client with an id in decimal, if it is one of ours. */
export function findClient(context: SessionContext, id: string): Session | undefined {
  if (!/^\d{16}$/.test(id)) return undefined
  for (const session of context.sessions) if (String(session.id) === id) return session
  return undefined
}

/** What the server calls the client with `id`, if it is one of ours; 0, which nobody has, if it has no connection. */
export function serverIdOf(context: SessionContext, id: string): string {
  const found = findClient(context, id)
  if (found === undefined) return id
  const lane = listeningLane(found) ?? found.pinning.lane
  return String(lane?.connection.serverId ?? 0)
}

/** The connection over which the client hears one server, if it has subscribed where there are several. */
export function listeningLane({ subscriber }: Session): PinnedLane | undefined {
  return subscriber.links?.links.values().next().value?.lane
}

/**
 * Whether the command named clients of ours in its words from `from` on: then it has been put back with what the
 * server calls them, to be looked at again.
 */
export function putServerIds(session: Session, command: SpecialCommand, from: number): boolean {
  const { context, input } = session
  const words = command.words()
  if (command.argumentCount > words.length) return false
  const isOurs = (word: Buffer) => findClient(context, word.toString('latin1')) !== undefined
  if (!words.some((word, index) => index >= from && isOurs(word))) return false
  const changed = words.map((word, index) =>
    index < from ? word : serverIdOf(context, word.toString('latin1')),
  )
  const bytes = encodeCommand(changed)
  input.start = command.end
  input.prepend(bytes)
  return true
}

/** A reply of CLIENT LIST or INFO with the ids that clients have with us. */
export function withOurIds(context: SessionContext, reply: string): string {
  const ids = new Map<string, number>()
  for (const { pinning, id } of context.sessions) {
    const { lane } = pinning
    if (lane !== undefined) ids.set(String(lane.connection.serverId), id)
  }
  const match = /^([$=])\d+\r\n([^]*)\r\n$/.exec(reply)
  if (match === null) return reply
  const [, type = '', body = ''] = match
  const text = body.replace(
    /^(txt:)?id=(\d+)/gm,
    (whole, prefix: string | undefined, id: string) => {
      const ours = ids.get(id)
      return ours === undefined ? whole : `${prefix ?? ''}id=${ours}`
    },
  )
  return `${type}${text.length}\r\n${text}\r\n`
}
