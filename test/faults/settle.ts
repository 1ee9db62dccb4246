/** How a lab comes to rest, and what is in it then. */
import { until } from '../support/servers.ts'
import type { FinalData } from './checks.ts'
import { type Lab, type LabServer, type Reply, textOf } from './lab/index.ts'

const convergeMaxMs = 60_000
const sameDataMaxMs = 5000

/** @throws Error when it does not come to rest */
export async function settledData(lab: Lab): Promise<FinalData> {
  const trouble = await settle(lab)
  if (trouble !== undefined) throw new Error(trouble)
  return dataOf(lab)
}

/** @returns what did not come right in time */
export async function settle(lab: Lab): Promise<string | undefined> {
  try {
    await lab.connected(convergeMaxMs)
    await lab.settled(convergeMaxMs)
    await lab.level(convergeMaxMs)
    await until(
      'all servers have the same data',
      async () => (await digests(lab)).size === 1,
      sameDataMaxMs,
    )
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message.slice(0, 2000) : String(error)
  }
}

async function digests({ servers }: Lab): Promise<ReadonlySet<string>> {
  return new Set(
    await Promise.all(servers.map(async (server) => textOf(await server.call('DEBUG', 'DIGEST')))),
  )
}

export async function dataOf(lab: Lab): Promise<FinalData> {
  const server = lab.servers.find(({ address }) => address === lab.status.primary?.address)
  const keys = server === undefined ? [] : texts(await server.call('KEYS', '*'))
  const of = (prefix: string) => keys.filter((key) => key.startsWith(prefix))
  const read = async <T>(prefix: string, command: readonly string[], as: (reply: Reply) => T) =>
    new Map(
      await Promise.all(
        of(prefix).map(async (key) => [key, as(await ask(server, command, key))] as const),
      ),
    )
  return {
    lists: await read('push:', ['LRANGE', '*', '0', '-1'], texts),
    sets: await read('add:', ['SMEMBERS', '*'], (reply) => new Set(texts(reply))),
    strings: new Set(of('set:')),
    counters: await read('count:', ['GET', '*'], Number),
  }
}

async function ask(server: LabServer | undefined, words: readonly string[], key: string) {
  if (server === undefined) throw new Error('there is no primary to ask')
  return server.call(...words.map((word) => (word === '*' ? key : word)))
}

function texts(reply: Reply): readonly string[] {
  return Array.isArray(reply) ? reply.map(String) : []
}
