/** Sockets that clients connect to, TCP and unix. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { type Server, type Socket, createConnection, createServer } from 'node:net'
import type { Listener } from '../../common/contract/proxy-config.ts'
import { SystemError, systemCodeOf } from '../../common/errors.ts'
import { formatHostPort } from '../../common/redis/url.ts'

/** Connections that wait to be accepted; the kernel refuses more. */
const backlog = 511
/** Everyone in the pod may connect to the socket: the volume that it is on says who sees it. */
const socketMode = 0o777

export class ClientListener {
  readonly key: string
  private readonly listener: Listener
  private readonly server: Server

  constructor(listener: Listener, accept: (socket: Socket) => void) {
    this.listener = listener
    this.key = listenerKey(listener)
    // A client may close its side after its last command and still read the replies.
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, accept)
  }

  /** @throws SystemError RM_LISTEN_FAILED */
  async open(): Promise<void> {
    const { unixPath } = this.listener
    try {
      await this.listen()
    } catch (cause) {
      if (unixPath === undefined || systemCodeOf(cause) !== 'EADDRINUSE') throw this.failed(cause)
      await this.replaceDeadSocket(unixPath)
    }
    if (unixPath !== undefined && !isAbstract(unixPath)) chmodSync(unixPath, socketMode)
    this.server.on('error', () => {})
  }

  /** Where clients connect: `host:port`, or the path. */
  address(): string {
    const address = this.server.address()
    if (address === null) return this.key
    if (typeof address === 'string') return this.key
    return formatHostPort({ host: address.address, port: address.port })
  }

  close(): void {
    this.server.close()
  }

  private listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const { host, port, unixPath } = this.listener
    this.server.once('error', reject)
    const options =
      unixPath === undefined
        ? { ...(host !== undefined && { host }), ...(port !== undefined && { port }), backlog }
        : { path: socketName(unixPath), backlog }
    this.server.listen(options, () => {
      this.server.off('error', reject)
      resolve()
    })
    return promise
  }

  /** A socket that a process left behind when it was killed is removed; one that is in use is not. */
  private async replaceDeadSocket(path: string): Promise<void> {
    if (isAbstract(path) || !lstatSync(path).isSocket() || (await isAnswered(path))) {
      throw this.failed(new Error('it is in use'))
    }
    try {
      unlinkSync(path)
      await this.listen()
    } catch (cause) {
      throw this.failed(cause)
    }
  }

  private failed(cause: unknown): SystemError {
    const why = systemCodeOf(cause) ?? (cause instanceof Error ? cause.message : String(cause))
    return new SystemError('RM_LISTEN_FAILED', `${this.key} cannot be bound: ${why}`, {
      cause,
      data: { listener: this.key },
      retryable: true,
    })
  }
}

export function listenerKey(listener: Listener): string {
  if (listener.unixPath !== undefined) return listener.unixPath
  return formatHostPort({ host: listener.host ?? '', port: listener.port ?? 0 })
}

/** `@name`: a socket without a file, which everyone in the same network namespace can reach. */
function isAbstract(unixPath: string): boolean {
  return unixPath.startsWith('@')
}

function socketName(unixPath: string): string {
  return isAbstract(unixPath) ? `\0${unixPath.slice(1)}` : unixPath
}

async function isAnswered(path: string): Promise<boolean> {
  const probe = createConnection({ path })
  const { promise, resolve } = Promise.withResolvers<boolean>()
  probe.once('connect', () => resolve(true)).once('error', () => resolve(false))
  const isInUse = await promise
  probe.destroy()
  return isInUse
}
