/**
 * TLS between a listener and the sessions: takes connections as they were accepted and hands on those whose
 * handshake succeeded. A handshake that fails, or takes too long, costs its client the connection and nothing else.
 */
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import type { Clock } from '../../common/clock.ts'
import type { Listener } from '../../common/contract/proxy-config.ts'
import { ConfigError, systemCodeOf } from '../../common/errors.ts'
import { tlsErrorLogMs, tlsHandshakeMs, tlsHandshakesMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import type { FileValue, FileWatch } from '../../common/secret-files.ts'
import type { DataPlaneCounters } from '../data-plane.ts'
import { type TlsMaterial, nodeTls, readTlsMaterial, tlsFileNames } from './tls-context.ts'

export type ListenerTls = NonNullable<Listener['tls']>

export interface AcceptorModules {
  readonly accept: (socket: Socket) => void
  readonly files: FileWatch
  readonly clock: Clock
  readonly log: Log
  readonly counters: DataPlaneCounters
}

export class TlsAcceptor {
  private readonly tls: ListenerTls
  private readonly name: string
  private readonly modules: AcceptorModules
  private readonly material: FileValue<TlsMaterial>
  private readonly server: Server
  private pendingCount = 0
  /** Connections in their handshake by their peer: with TLS another socket stands in their place. */
  private readonly pending = new Map<string, Socket>()
  private lastLogMs = Number.NEGATIVE_INFINITY
  private unloggedCount = 0

  /** `name` is the listener’s, for the log. @throws ConfigError RM_TLS_FILES, RM_CONFIG_INVALID */
  constructor(tls: ListenerTls, name: string, modules: AcceptorModules) {
    this.tls = tls
    this.name = name
    this.modules = modules
    const { certFile, keyFile, clientCertificate = 'none' } = tls
    const caFile = clientCertificate === 'none' ? undefined : tls.clientCaFile
    if (clientCertificate !== 'none' && caFile === undefined) {
      // Without one the public authorities would count, and anyone can have a certificate of theirs.
      throw new ConfigError(
        'RM_CONFIG_INVALID',
        `listener ${name}: clientCertificate is ${clientCertificate} and nothing says who signs them; give tls.clientCaFile`,
      )
    }
    const files = { certFile, keyFile, caFile }
    this.material = modules.files.value({
      what: `certificate of ${name}`,
      files: tlsFileNames(files),
      read: () => readTlsMaterial(files),
      onChange: (material) => this.server.setSecureContext(material),
    })
    this.server = nodeTls().createServer({
      ...this.material.current(),
      handshakeTimeout: tlsHandshakeMs,
      requestCert: clientCertificate !== 'none',
      rejectUnauthorized: clientCertificate === 'required',
    })
    this.server.on('secureConnection', (socket) => this.secured(socket))
    this.server.on('tlsClientError', (error, socket) => this.failed(error, socket))
  }

  take(socket: Socket): void {
    if (this.pendingCount >= tlsHandshakesMax) {
      this.refuse(socket, 'too many handshakes at once')
      return
    }
    const peer = peerOf(socket)
    this.pendingCount += 1
    if (peer !== undefined) {
      this.pending.set(peer, socket)
      socket.once('close', () => {
        if (this.pending.get(peer) === socket) this.pending.delete(peer)
      })
    }
    this.server.emit('connection', socket)
  }

  /** Takes no more; handshakes that have begun are finished. */
  retire(): void {
    this.material.close()
  }

  close(): void {
    this.retire()
    for (const socket of this.pending.values()) socket.destroy()
  }

  private secured(socket: TLSSocket): void {
    this.settle(socket)
    const isShown = this.tls.clientCertificate === 'optional' && hasCertificate(socket)
    if (isShown && !socket.authorized) {
      this.refuse(socket, String(socket.authorizationError))
      return
    }
    this.modules.accept(socket)
  }

  private failed(error: Error, socket: TLSSocket): void {
    this.settle(socket)
    const code = systemCodeOf(error) ?? error.name
    if (plainCodes.has(code)) this.modules.counters.protocolErrors += 1
    // What the socket says is why a certificate was not taken; the error is then that the connection ended.
    const refusal: unknown = socket.authorizationError
    this.refuse(socket, typeof refusal === 'string' ? refusal : code)
  }

  private settle(socket: TLSSocket): void {
    this.pendingCount -= 1
    const peer = peerOf(socket)
    if (peer !== undefined) this.pending.delete(peer)
  }

  private refuse(socket: Socket, reason: string): void {
    const { counters, log } = this.modules
    const client = socket.remoteAddress ?? 'unknown'
    socket.on('error', () => {})
    socket.destroy()
    counters.tlsHandshakeErrors += 1
    const now = this.modules.clock.monotonicMs()
    if (now - this.lastLogMs < tlsErrorLogMs) {
      this.unloggedCount += 1
      return
    }
    const others = this.unloggedCount
    this.lastLogMs = now
    this.unloggedCount = 0
    log.warn({ listener: this.name, client, reason, others }, 'a TLS handshake of a client failed')
  }
}

/** What OpenSSL says of bytes that are no TLS: of HTTP, and of anything else, RESP included. */
const plainCodes: ReadonlySet<string> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_UNEXPECTED_MESSAGE',
])

function peerOf({ remoteAddress, remotePort }: Socket): string | undefined {
  return remotePort === undefined ? undefined : `${remoteAddress} ${remotePort}`
}

function hasCertificate(socket: TLSSocket): boolean {
  return socket.getPeerX509Certificate() !== undefined
}
