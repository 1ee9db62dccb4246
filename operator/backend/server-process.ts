/** Commands to one process of a server. They reach that process or none. */
import { UpstreamError } from '../../common/errors.ts'
import type { Source } from './backend.ts'
import { replyCodeOf } from './connection.ts'
import { type Replication, parseReplication } from './info.ts'
import type { CommandParts } from './names.ts'

export interface ServerProcess {
  readonly address: string
  readonly runId: string
  /** Whether its `REPLICAOF` has another name there. */
  readonly isRenamed: boolean
  /** @throws UpstreamError whose cause is the error reply, if there was one */
  call(...parts: CommandParts): Promise<unknown>
}

/** Makes it a replica of `source`, or a primary: REPLICAOF, and SLAVEOF where a server is too old to know the word. */
export async function follow(server: ServerProcess, source: Source | 'nobody'): Promise<void> {
  const args = source === 'nobody' ? ['NO', 'ONE'] : [source.host, String(source.port)]
  try {
    await server.call('REPLICAOF', ...args)
  } catch (error) {
    if (server.isRenamed || refusalOf(error) !== 'ERR') throw error
    await server.call('SLAVEOF', ...args)
  }
}

/** Where it is in its history. @throws UpstreamError */
export async function replicationOf(server: ServerProcess): Promise<Replication> {
  const reply = await server.call('INFO', 'replication')
  const replication = typeof reply === 'string' ? parseReplication(reply) : undefined
  if (replication !== undefined) return replication
  throw new UpstreamError('RM_PROBE_FAILED', `${server.address} does not tell its role`)
}

/** Code word of the reply with which a server refused what a `ServerProcess` sent; undefined: it did not say. */
export function refusalOf(error: unknown): string | undefined {
  return error instanceof Error ? replyCodeOf(error.cause) : undefined
}
