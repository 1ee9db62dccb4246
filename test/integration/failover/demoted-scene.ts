/** A primary that becomes a replica behind the back of a sidecar: a person did it, or another control plane. */
import type { TestContext } from 'node:test'
import type { LocalDataPlane } from '../../../sidecar/data-plane.ts'
import { type RedisServer, startServer } from '../../support/servers.ts'
import {
  type Client,
  type ConfigChanges,
  configFor,
  connect,
  encodeCommand,
  portOf,
  startPlane,
  until,
} from '../sidecar/harness.ts'

/** Nobody listens there. */
export const nowhere = ['127.0.0.1', '1'] as const

export interface DemotedScene {
  readonly first: RedisServer
  readonly second: RedisServer
  readonly plane: LocalDataPlane
  /** The sidecar is told that this one is the primary. */
  readonly obey: (server: RedisServer) => void
  /** The second becomes the primary of the first without losing anything; the sidecar is not told. */
  readonly swap: () => Promise<void>
  readonly client: () => Promise<Client>
}

/** `via`: the port at which the sidecar reaches the first server, if not its own. */
export async function demotedScene(
  t: TestContext,
  changes: ConfigChanges = {},
  via?: (port: number) => Promise<number>,
): Promise<DemotedScene> {
  const first = await startServer()
  t.after(() => first.stop())
  const second = await startServer({ replicaOf: first })
  t.after(() => second.stop())
  await until('the replica follows', async () => (await second.info('master_link_status')) === 'up')
  const port = (await via?.(first.port)) ?? first.port
  const plane = await startPlane(t, configFor({ host: first.host, port }, changes))
  await until('the primary is there', () => plane.view().primary === 'ok')
  let epoch = 0
  return {
    first,
    second,
    plane,
    obey: (server) => {
      epoch += 1
      void plane.apply({ ...configFor(server, changes), epoch })
    },
    swap: async () => {
      await first.command('CLIENT', 'PAUSE', '20000', 'WRITE')
      await until('the replica has all', async () => {
        const field = 'master_repl_offset'
        return (await first.info(field)) === (await second.info(field))
      })
      await second.command('REPLICAOF', 'NO', 'ONE')
      await first.command('REPLICAOF', second.host, String(second.port))
      await first.command('CLIENT', 'UNPAUSE')
    },
    client: () => connect(t, portOf(plane)),
  }
}

/** Has a client be known for small replies, so that all of a pipeline is sent at once. */
export async function warmUp(client: Client, count = 256): Promise<void> {
  for (let left = 2; left > 0; left -= 1) {
    client.send(encodeCommand(['GET', 'nothing']).repeat(count))
    await client.replies(count)
  }
}

export function pipeline(...commands: readonly (readonly string[])[]): string {
  return commands.map((words) => encodeCommand(words)).join('')
}
