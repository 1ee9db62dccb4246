/** How a lab comes to rest, and what is in it then. */
import { until } from '../support/servers.ts'
import type { FinalData } from './checks.ts'
import { type Lab, type LabServer, type Reply, textOf } from './lab/index.ts'

const convergeMaxMs = 60_000
const sameDataMaxMs = 5000
/** How long a failover must have waited for a person before one comes. */
const waitingMinMs = 3000

/** @throws Error when it does not come to rest */
export async function settledData(lab: Lab): Promise<FinalData> {
  const { trouble } = await settle(lab)
  if (trouble !== undefined) throw new Error(trouble)
  return dataOf(lab)
}

export interface Settled {
  /** What did not come right in time. */
  readonly trouble?: string
  /** A person had to say which data count: no server was known to have all that was confirmed. */
  readonly isDecided: boolean
}

export async function settle(lab: Lab): Promise<Settled> {
  let isDecided = false
  try {
    await lab.connected(convergeMaxMs)
    await until('a primary is found or asked for', () => isQuiet(lab), convergeMaxMs)
    if (isWaiting(lab)) {
      isDecided = true
      await decide(lab)
    }
    await lab.settled(convergeMaxMs)
    await lab.level(convergeMaxMs)
    const same = async () => (await digests(lab)).size === 1
    await until('all servers have the same data', same, sameDataMaxMs)
    return { isDecided }
  } catch (error) {
    const trouble = error instanceof Error ? error.message.slice(0, 2000) : String(error)
    return { isDecided, trouble }
  }
}

/** Whether it is in order, or has said for a while that it waits for a person. */
function isQuiet(lab: Lab): boolean {
  if (lab.isSettled()) return true
  const since = lab.status.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime
  return isWaiting(lab) && Date.now() - Date.parse(since ?? '') > waitingMinMs
}

function isWaiting({ operator }: Lab): boolean {
  return operator.condition('PrimaryAvailable') === 'False/NoEligibleCandidate'
}

/** As a person would: the server with most keys, whatever it lacks. */
async function decide(lab: Lab): Promise<void> {
  const sizes = await Promise.all(
    lab.servers.map(async (server) => {
      const keys = Number(textOf(await server.call('DBSIZE')))
      return [server.address, keys] as const
    }),
  )
  const [most] = sizes.toSorted(([, a], [, b]) => b - a)
  const to = most?.[0] ?? ''
  lab.request({ name: 'decide', kind: 'Promote', to, accept: ['DataLoss'] })
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
