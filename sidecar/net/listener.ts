/** Sockets that clients connect to, TCP and unix, plain or with TLS. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { type Server, type Socket, createConnection, createServer } from 'node:net'
import type { Listener } from '../../common/contract/proxy-config.ts'
import { SystemError, systemCodeOf } from '../../common/errors.ts'
import { formatHostPort } from '../../common/redis/url.ts'
import { type AcceptorModules, TlsAcceptor } from './tls-acceptor.ts'

/** Connections that wait to be accepted; the kernel refuses more. */
const backlog = 511
/** Everyone in the pod may connect to the socket: the volume that it is on says who sees it. */
const socketMode = 0o777

export class ClientListener {
  readonly key: string
  private listener: Listener
  private readonly modules: AcceptorModules
  private readonly server: Server
  private tls: TlsAcceptor | undefined

  /**
   * `isHandedOn`: nothing is read of a client before another process has taken it over.
   * @throws ConfigError RM_TLS_FILES
   */
  constructor(
    listener: Listener,
    modules: AcceptorModules,
    { isHandedOn = false }: { readonly isHandedOn?: boolean } = {},
  ) {
    this.listener = listener
    this.modules = modules
    this.key = listenerKey(listener)
    this.tls = this.acceptorOf(listener)
    // A client may close its side after its last command and still read the replies.
    this.server = createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: isHandedOn },
      (socket) => {
        if (this.tls === undefined) modules.accept(socket)
        else this.tls.take(socket)
      },
    )
  }

  /** Goes over to what `listener` says of TLS; the address is the same. @throws ConfigError RM_TLS_FILES */
  use(listener: Listener): void {
    if (JSON.stringify(listener.tls) === JSON.stringify(this.listener.tls)) return
    const next = this.acceptorOf(listener)
    this.tls?.retire()
    this.tls = next
    this.listener = listener
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

  /** Takes a client that another process accepted for it. */
  take(socket: Socket): void {
    socket.allowHalfOpen = true
    this.server.emit('connection', socket)
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
    this.tls?.close()
  }

  private acceptorOf({ tls }: Listener): TlsAcceptor | undefined {
    return tls && new TlsAcceptor(tls, this.key, this.modules)
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
