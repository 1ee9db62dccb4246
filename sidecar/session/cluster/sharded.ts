/** What the commands that need a connection of their own ask of a backend with several servers. */
import { findKeys, firstKey } from '../../route/keys.ts'
import { CommandFrame } from '../../route/command-frame.ts'
import { findTraits } from '../../route/traits.ts'
import type { Backend } from '../../route/backend.ts'
import { encodeError } from '../../resp/encode.ts'
import type { ServerConnections } from '../../upstream/server-connections.ts'
import type { SessionContext } from '../context.ts'
import { pin } from '../lanes.ts'
import type { Session } from '../session.ts'

/** In place of the hash of a command’s keys: it has none, or several that no one server has together. */
export const noKey = -1
export const keysApart = -2

export const crossSlot = encodeError("CROSSSLOT Keys in request don't hash to the same slot")

/** The backend, if keys belong to one of several servers. */
export function shardedBackend({ backend }: SessionContext): Backend | undefined {
  return backend === undefined || backend.kind === 'replication' ? undefined : backend
}

export function isSharded(context: SessionContext): boolean {
  return shardedBackend(context) !== undefined
}

const frame = new CommandFrame()

/** The hash of the keys of the whole command at `start`, or `noKey` or `keysApart`. */
export function hashOfCommand(backend: Backend, bytes: Buffer, start: number, end: number): number {
  frame.read(bytes, start, end)
  const traits = findTraits(frame)
  if (traits === undefined) return noKey
  findKeys(frame, traits)
  let hash = noKey
  for (let index = 0; index < frame.keyCount; index += 1) {
    const other = backend.hashOf(bytes, frame.keyStart(index), frame.keyEnd(index))
    if (hash === noKey) hash = other
    else if (!backend.isTogether(hash, other)) return keysApart
  }
  return hash
}

/** Of the first key of a command whose end has not come; undefined: nor has the key. */
export function hashOfBeginning(
  backend: Backend,
  bytes: Buffer,
  start: number,
  end: number,
): number | undefined {
  frame.read(bytes, start, end)
  const traits = frame.seenCount > 0 ? findTraits(frame) : undefined
  if (traits === undefined || traits.keys.length === 0)
    return frame.seenCount > 0 ? noKey : undefined
  const key = firstKey(frame, traits)
  if (key === 0) return undefined
  return backend.hashOf(bytes, frame.argumentStart(key), frame.argumentEnd(key))
}

/** Whether an unfinished command may have to be sent to several servers in parts. */
export function mayBeSplit(bytes: Buffer, start: number, end: number): boolean {
  frame.read(bytes, start, end)
  return frame.seenCount > 0 && findTraits(frame)?.route === 'split'
}

/** Where the whole command that begins at `start` ends. */
export function endOfCommand(bytes: Buffer, start: number, limit: number): number {
  frame.read(bytes, start, limit)
  return frame.end
}

/** The server for keys with `hash`, or for what has none; undefined while nobody is known to have them. */
export function serverOf(session: Session, hash: number): ServerConnections | undefined {
  const backend = shardedBackend(session.context)
  const shard = hash === noKey ? backend?.anyShard(session.id) : backend?.shardOf(hash)
  if (shard === undefined) backend?.lookAgain()
  return shard?.primary
}

/** Whether the session has a connection to `server`; if not it waits for one. What it had must not be needed. */
export function pinTo(session: Session, server: ServerConnections | undefined): boolean {
  const { pinning } = session
  if (pinning.isHeld || server === undefined) return session.hold()
  if (pinning.lane?.connection.socket.destroyed === true) {
    // Its end is about to be told; what is not sent may go elsewhere.
    session.wait = 'writable'
    return false
  }
  if (pinning.lane !== undefined && pinning.server !== server) {
    if (!session.waitForReplies()) return false
    pinning.reasons = 0
    pinning.release()
  }
  return pin(session, server)
}
