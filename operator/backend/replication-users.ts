/**
 * As whom replicas log in at their primary: a user that is made on the process of the primary and nowhere else, so that
 * a primary that comes back empty knows nobody and cannot overwrite its replicas. Passwords live in the memory of this
 * process only. One that was started anew gives the user a second password, tells the replicas, and takes the first one
 * away once none needs it: no link breaks.
 */
import { createHash, randomBytes } from 'node:crypto'
import { UpstreamError } from '../../common/errors.ts'
import {
  replicaLoginsMax,
  replicationPasswordBytes,
  replicationUsersMax,
} from '../../common/limits.ts'
import { Secret } from '../../common/secret.ts'
import { type GuardFacts, isReplicationUser } from '../controller/observation.ts'
import type { ServerCredentials } from './connection.ts'
import type { ServerProcess } from './server-process.ts'

/** How a replica logs in. */
interface Login {
  readonly user: string
  readonly password: Secret
}

interface ReplicationUser extends Login {
  readonly primaryRunId: string
  /** It was there before we gave it our password: replicas may know another one. */
  isShared: boolean
}

/** Another server that is watched, and what it said last. */
export interface Peer {
  readonly runId?: string
  /** Absent while it does not answer. */
  readonly process?: ServerProcess
  readonly guards?: GuardFacts
}

/** What a replica may do at its primary: SYNC is sent on the second connection of a full synchronisation. */
const rights = ['resetkeys', '-@all', '+psync', '+sync', '+replconf', '+ping'] as const

export class ReplicationUsers {
  private readonly users = new Map<string, ReplicationUser>()
  /** How replicas logged in before us, by run-id. */
  private readonly former = new Map<string, Login>()
  /** As whom we told each replica to log in, by run-id. */
  private readonly told = new Map<string, ReplicationUser>()

  /**
   * Makes `user` on the primary and has the replicas log in as it from their next connection on.
   * @throws UpstreamError RM_GUARD_FAILED
   */
  async protect(
    primary: ServerProcess,
    {
      user: name,
      replicas,
    }: { readonly user: string; readonly replicas: readonly ServerProcess[] },
    peers: readonly Peer[],
  ): Promise<void> {
    if (!isReplicationUser(name)) throw failed(`${name} is no user of ours`)
    const existing = await usersOf(primary)
    const user = this.userOf(name, primary.runId, existing.includes(name))
    await primary.call('ACL', 'SETUSER', name, 'on', `#${hashOf(user)}`, ...rights)
    const others = user.isShared ? peers.filter((peer) => this.mayDiffer(peer, user)) : []
    const known = new Set(replicas.map(({ runId }) => runId))
    const also = others.flatMap(({ process, guards }) => (guards && process) ?? [])
    const all = [...replicas, ...also.filter(({ runId }) => !known.has(runId))]
    const results = await Promise.allSettled(all.map((replica) => this.tell(replica, user)))
    const failure = results.find((result) => result.status === 'rejected')
    if (failure !== undefined) throw failure.reason
    if (user.isShared && !peers.some((peer) => this.mayDiffer(peer, user))) {
      await primary.call('ACL', 'SETUSER', name, 'resetpass', `#${hashOf(user)}`)
      user.isShared = false
    }
    const inUse = new Set([name, ...peers.map(({ guards }) => guards?.sourceUser)])
    const unused = existing.filter((each) => isReplicationUser(each) && !inUse.has(each))
    if (unused.length > 0) await primary.call('ACL', 'DELUSER', ...unused)
  }

  /** Has a replica log in as it did before us; where that is not known, as we do ourselves. */
  async restore(replica: ServerProcess, own: ServerCredentials | undefined): Promise<void> {
    const current = await setting(replica, 'masteruser')
    if (!isReplicationUser(current)) return
    const fallback = { user: own?.username ?? '', password: own?.password ?? new Secret('') }
    await setLogin(replica, this.former.get(replica.runId) ?? fallback)
    this.told.delete(replica.runId)
  }

  private async tell(replica: ServerProcess, user: ReplicationUser): Promise<void> {
    if (!this.former.has(replica.runId)) {
      const name = await setting(replica, 'masteruser')
      if (!isReplicationUser(name)) {
        const password = new Secret(await setting(replica, 'masterauth'))
        remember(this.former, replicaLoginsMax, [replica.runId, { user: name, password }])
      }
    }
    await setLogin(replica, user)
    remember(this.told, replicaLoginsMax, [replica.runId, user])
  }

  private userOf(name: string, primaryRunId: string, exists: boolean): ReplicationUser {
    const known = this.users.get(name)
    if (known?.primaryRunId === primaryRunId) {
      // Someone removed it: it has no other password from now on.
      if (!exists) known.isShared = false
      return known
    }
    const password = new Secret(randomBytes(replicationPasswordBytes).toString('hex'))
    const user = { user: name, password, primaryRunId, isShared: exists }
    remember(this.users, replicationUsersMax, [name, user])
    return user
  }

  /** Whether it logs in as the user, and may do so with another password than ours. */
  private mayDiffer({ runId, guards }: Peer, user: ReplicationUser): boolean {
    if (runId === undefined) return true
    if (this.told.get(runId) === user) return false
    return guards === undefined || guards.sourceUser === user.user
  }
}

/** The oldest goes where there are too many. */
function remember<K, V>(map: Map<K, V>, countMax: number, [name, value]: readonly [K, V]): void {
  map.delete(name)
  map.set(name, value)
  for (const oldest of map.keys()) {
    if (map.size <= countMax) return
    map.delete(oldest)
  }
}

function hashOf({ password }: Login): string {
  return createHash('sha256').update(password.reveal()).digest('hex')
}

async function usersOf(server: ServerProcess): Promise<readonly string[]> {
  const reply = await server.call('ACL', 'USERS')
  return Array.isArray(reply) ? reply.map(String) : []
}

async function setting(server: ServerProcess, name: string): Promise<string> {
  const reply = await server.call('CONFIG', 'GET', name)
  return Array.isArray(reply) ? String(reply[1] ?? '') : ''
}

/** One right after the other; a replica that met the wrong pair tries again. */
async function setLogin(server: ServerProcess, { user, password }: Login): Promise<void> {
  await Promise.all([
    server.call('CONFIG', 'SET', 'masterauth', password),
    server.call('CONFIG', 'SET', 'masteruser', user),
  ])
}

function failed(why: string): UpstreamError {
  return new UpstreamError('RM_GUARD_FAILED', why, { retryable: true })
}
