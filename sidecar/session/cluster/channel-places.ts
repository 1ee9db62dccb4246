/** Where a channel is heard: in a cluster, and in a ring of servers that know nothing of each other. */
import type { Channel, ChannelKind } from '../../pubsub/channel-table.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { Session } from '../session.ts'
import { noKey, serverOf, shardedBackend } from './sharded.ts'

/** In place of the hash of a name: it has to be listened to at all servers. */
export const everywhere = -3

/** What servers publish of their own keys, each to those that listen there only. */
const ownEvents = /^__key(space|event)@/

/** The hash of a name that has one place; `noKey`: any server will do. */
export function placeOf({ context }: Session, kind: ChannelKind, name: string): number {
  const backend = shardedBackend(context)
  const isRing = backend?.kind === 'ring'
  if (kind !== 'SSUBSCRIBE' && ownEvents.test(name)) return everywhere
  if (kind === 'PSUBSCRIBE') return isRing ? everywhere : noKey
  if (kind === 'SUBSCRIBE' && !isRing) return noKey
  const bytes = Buffer.from(name, 'latin1')
  return backend?.hashOf(bytes, 0, bytes.length) ?? noKey
}

/** The servers of a place; undefined for one that nobody is known to have. `linked` are preferred where any will do. */
export function serversOf(
  session: Session,
  place: number,
  linked: Iterable<ServerConnections>,
): readonly (ServerConnections | undefined)[] {
  if (place === everywhere) {
    return (shardedBackend(session.context)?.shards ?? []).map(({ primary }) => primary)
  }
  if (place === noKey) for (const server of linked) if (server.isReady) return [server]
  return [serverOf(session, place)]
}

/** Names that one command can name at one server. */
interface Missing {
  readonly server: ServerConnections
  readonly kind: ChannelKind
  readonly names: string[]
}

/** Of `channels` those that are not heard where they should be. `isComplete`: nobody lacks a place. */
export function findMissing(
  session: Session,
  channels: Iterable<Channel>,
  linked: Iterable<ServerConnections>,
): { readonly missing: Iterable<Missing>; readonly isComplete: boolean } {
  const missing = new Map<string, Missing>()
  const known = [...linked]
  let isComplete = true
  for (const { kind, name, links } of channels) {
    const place = placeOf(session, kind, name)
    const isAnywhere = place === noKey && links.size > 0
    const has = (server: ServerConnections) => [...links].some((link) => link.server === server)
    for (const server of isAnywhere ? [] : serversOf(session, place, known)) {
      if (server === undefined) isComplete = false
      if (server === undefined || has(server)) continue
      const key = `${server.address} ${kind} ${kind === 'SSUBSCRIBE' ? place : ''}`
      const others = missing.get(key)
      if (others === undefined) missing.set(key, { server, kind, names: [name] })
      else others.names.push(name)
    }
  }
  return { missing: missing.values(), isComplete }
}
