/**
 * Opens a connection to a server and makes sure of it: transport, credentials, protocol, and that the process
 * at the other end is the recorded one and of the role it is wanted for, before any byte of a client is sent to it.
 */
import { type Socket, createConnection, isIP } from 'node:net'
import type {
  Credentials,
  UpstreamPrimary,
  UpstreamTls,
} from '../../common/contract/proxy-config.ts'
import { ProxyError, UpstreamError } from '../../common/errors.ts'
import { keepAliveMs } from '../../common/limits.ts'
import { formatHostPort, isUnixPath } from '../../common/redis/url.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import { type Reply, textOf } from '../resp/decode.ts'
import { nodeTls } from '../net/tls-context.ts'
import { encodeCommand } from '../resp/encode.ts'
import type { UpstreamAccess } from './access.ts'
import type { Commits } from './commits.ts'
import { type ProtocolVersion, UpstreamConnection } from './connection.ts'

export interface Target {
  readonly server: UpstreamPrimary
  /**
   * What it must be. `member`: of a cluster, whose servers refuse what is not theirs; `reader`: the same, and it is
   * told that it may be read from while it is a replica.
   */
  readonly role: 'primary' | 'replica' | 'member' | 'reader'
  readonly credentials?: Credentials
  readonly tls?: UpstreamTls
  readonly connectTimeoutMs: number
  /** Replies to writes wait for replicas. */
  readonly confirmsWrites?: boolean
}

export interface ConnectModules {
  readonly access: UpstreamAccess
  readonly counters: DataPlaneCounters
  readonly heard: Heard
  readonly commits?: Commits
}

/** Bytes that ever came from one server. */
export interface Heard {
  bytes: number
}

export interface Connected {
  readonly connection: UpstreamConnection
  /** What the server says of itself; a client’s own HELLO is answered with it. */
  readonly hello: Reply
  /** Identity of the server process; empty when it hides it. */
  readonly runId: string
}

/**
 * @throws UpstreamError RM_UPSTREAM_CONNECT, RM_UPSTREAM_AUTH, RM_UPSTREAM_IDENTITY, RM_UPSTREAM_TIMEOUT
 * @throws ConfigError RM_SECRET_UNREADABLE
 */
export async function connectServer(
  target: Target,
  protocol: ProtocolVersion,
  modules: ConnectModules,
  signal: AbortSignal,
): Promise<Connected> {
  const address = formatHostPort(target.server)
  const socket = openSocket(target, address, modules.access)
  const end = () => socket.destroy()
  const timer = setTimeout(end, target.connectTimeoutMs)
  signal.addEventListener('abort', end)
  try {
    await opened(socket, target, address)
    const connection = new UpstreamConnection(socket, protocol, modules)
    const identity = await shakeHands(connection, target, modules)
    modules.counters.upstreamConnects += 1
    modules.commits?.guard(connection, target)
    return { connection, ...identity }
  } catch (cause) {
    socket.destroy()
    countFailure(cause, modules.counters)
    throw explain(cause, address, signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}

function openSocket(target: Target, address: string, access: UpstreamAccess): Socket {
  try {
    return startSocket(target, access)
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause
    throw new UpstreamError('RM_UPSTREAM_CONNECT', `no connection to ${address} can be set up`, {
      cause,
    })
  }
}

function startSocket(target: Target, access: UpstreamAccess): Socket {
  const { host, port } = target.server
  if (isUnixPath(host)) return createConnection({ path: host })
  const options = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }
  const { tls } = target
  if (tls === undefined) return createConnection(options)
  const name = tls.serverName ?? (isIP(host) === 0 ? host : undefined)
  return nodeTls()
    .connect({
      ...options,
      rejectUnauthorized: tls.verify,
      ...(name !== undefined && { servername: name }),
      secureContext: access.secureContext(tls),
    })
    .setNoDelay(true)
}

/** A unix socket is never encrypted: the kernel says who may open it. */
function isEncrypted({ tls, server }: Target): boolean {
  return tls !== undefined && !isUnixPath(server.host)
}

async function opened(socket: Socket, target: Target, address: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const ended = () => {
    reject(
      new UpstreamError('RM_UPSTREAM_CONNECT', `no connection to ${address} could be opened`, {
        retryable: true,
      }),
    )
  }
  socket.once(isEncrypted(target) ? 'secureConnect' : 'connect', resolve)
  socket.once('error', reject)
  socket.once('close', ended)
  try {
    await promise
  } finally {
    socket.off('error', reject)
    socket.off('close', ended)
  }
}

async function shakeHands(
  connection: UpstreamConnection,
  target: Target,
  modules: ConnectModules,
): Promise<Omit<Connected, 'connection'>> {
  const commands = [
    ...(target.credentials ? [modules.access.login(target.credentials)] : []),
    ['HELLO', String(connection.protocol)],
    ['INFO', 'server'],
    ['INFO', 'replication'],
    ...(target.role === 'reader' ? [['READONLY']] : []),
    ['PING'],
  ]
  const replies = await connection.ask(Buffer.concat(commands.map(encodeCommand)), commands.length)
  const ping = replies.at(-1)
  const [hello, server, replication] = replies.slice(target.credentials ? 1 : 0)
  const login = target.credentials ? replies[0] : undefined
  if (login?.kind === 'error') throw refused('RM_UPSTREAM_AUTH', login.text)
  if (hello === undefined) throw refused('RM_UPSTREAM_CONNECT', 'no reply')
  if (ping?.kind === 'error') {
    const isLogin = /^(NOAUTH|NOPERM|WRONGPASS)/.test(ping.text)
    throw refused(isLogin ? 'RM_UPSTREAM_AUTH' : 'RM_UPSTREAM_CONNECT', ping.text)
  }
  if (hello.kind === 'error' && connection.protocol === 3) {
    throw refused('RM_UPSTREAM_CONNECT', `the server speaks no RESP3: ${hello.text}`)
  }
  const runId = checkIdentity(target, textOf(server), textOf(replication))
  return { hello, runId }
}

function checkIdentity(
  { server: recorded, role: wanted }: Target,
  server: string,
  replication: string,
): string {
  const runId = /^run_id:(\S+)/m.exec(server)?.[1]
  if (recorded.runId !== undefined && runId !== recorded.runId) {
    throw refused(
      'RM_UPSTREAM_IDENTITY',
      `its run_id is ${runId ?? 'hidden'}, recorded is ${recorded.runId}`,
    )
  }
  const role = roleIn(replication)
  const isFit = role === rolesByName[wanted]
  if (wanted in rolesByName && !isFit) {
    const isReplica = role === rolesByName.replica
    throw refused('RM_UPSTREAM_IDENTITY', `its role is ${role ?? 'hidden'}`, isReplica)
  }
  return runId ?? ''
}

/** The role of which INFO replication tells, in the words of servers. */
export function roleIn(replication: string): string | undefined {
  return /^role:(\S+)/m.exec(replication)?.[1]
}

const rolesByName: Readonly<Record<string, string>> = { primary: 'master', replica: 'slave' }

type ConnectCode = 'RM_UPSTREAM_AUTH' | 'RM_UPSTREAM_CONNECT' | 'RM_UPSTREAM_IDENTITY'

function refused(code: ConnectCode, why: string, isReplica = false): UpstreamError {
  // A server that runs a script admits nobody.
  const data = { isBusy: why.startsWith('BUSY '), isReplica }
  return new UpstreamError(code, `the server cannot be used: ${why}`, { data, retryable: true })
}

function countFailure(cause: unknown, counters: DataPlaneCounters): void {
  counters.upstreamConnectErrors += 1
  if (cause instanceof ProxyError && cause.code === 'RM_UPSTREAM_IDENTITY') {
    counters.upstreamIdentityErrors += 1
  }
}

function explain(cause: unknown, address: string, signal: AbortSignal): Error {
  if (cause instanceof ProxyError && cause.code !== 'RM_UPSTREAM_LOST') return cause
  const what = signal.aborted ? 'was given up' : 'cannot be reached or did not answer in time'
  return new UpstreamError('RM_UPSTREAM_CONNECT', `${address} ${what}`, { cause, retryable: true })
}
