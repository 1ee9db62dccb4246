/** The sidecars of a laptop: processes as in a pod, told where the stream is by their environment. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { localSidecarRestartMs } from '../../common/limits.ts'
import { socketName } from '../api/proxy-schema.ts'
import { Child } from './child.ts'
import type { Guard } from './guard.ts'

export interface LocalSidecarsOptions {
  /** How a sidecar is started: program and arguments. */
  readonly command: readonly [string, ...string[]]
  readonly ports: readonly SidecarPorts[]
  readonly directory: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly streamUrl: string
  readonly tokenFile: string
  /** `namespace/name`. */
  readonly proxy: string
  /** Whether each has a unix socket, in its folder. */
  readonly hasUnixSocket: boolean
  /** What a TLS listener is made of; with `ports[].tls`. */
  readonly tls?: ListenerFiles
}

export interface SidecarPorts {
  readonly listen: number
  readonly admin: number
  readonly tls?: number
}

export interface ListenerFiles {
  readonly certFile: string
  readonly keyFile: string
  readonly clientCertificate: 'none' | 'optional' | 'required'
  readonly clientCaFile?: string
}

export interface LocalSidecar {
  readonly id: string
  readonly port: number
  readonly adminPort: number
  readonly tlsPort?: number
  readonly socketPath?: string
  readonly pid?: number
}

export class LocalSidecars {
  private readonly options: LocalSidecarsOptions
  private readonly children: readonly Child[]

  constructor(
    options: LocalSidecarsOptions,
    modules: { readonly guard: Guard; readonly onExit: (id: string, how: string) => void },
  ) {
    this.options = options
    this.children = options.ports.map((_ports, index) => this.makeChild(index, modules))
  }

  ids(): readonly string[] {
    return this.children.map(({ name }) => name)
  }

  list(): readonly LocalSidecar[] {
    return this.children.map((child, index) => {
      const ports = this.options.ports[index]
      const { pid } = child
      return {
        id: child.name,
        port: ports?.listen ?? 0,
        adminPort: ports?.admin ?? 0,
        ...(ports?.tls !== undefined && { tlsPort: ports.tls }),
        ...(this.options.hasUnixSocket && { socketPath: this.socketPath(child.name) }),
        ...(pid !== undefined && { pid }),
      }
    })
  }

  async start(): Promise<void> {
    await Promise.all(this.children.map((child) => child.start()))
  }

  async stop(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop()))
  }

  private socketPath(id: string): string {
    return join(this.options.directory, id, socketName)
  }

  private tlsEnv(index: number): Readonly<Record<string, string>> {
    const { tls, ports } = this.options
    const port = ports[index]?.tls
    if (tls === undefined || port === undefined) return {}
    return {
      RESPMESH_LISTEN_TLS: `127.0.0.1:${port}`,
      RESPMESH_LISTEN_TLS_CERT_FILE: tls.certFile,
      RESPMESH_LISTEN_TLS_KEY_FILE: tls.keyFile,
      RESPMESH_LISTEN_TLS_CLIENT_CERTIFICATE: tls.clientCertificate,
      ...(tls.clientCaFile !== undefined && {
        RESPMESH_LISTEN_TLS_CLIENT_CA_FILE: tls.clientCaFile,
      }),
    }
  }

  private makeChild(
    index: number,
    {
      guard,
      onExit,
    }: { readonly guard: Guard; readonly onExit: (id: string, how: string) => void },
  ): Child {
    const id = `sidecar-${index + 1}`
    const directory = join(this.options.directory, id)
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const { command, ports, streamUrl, tokenFile, proxy } = this.options
    const [program, ...args] = command
    return new Child(
      {
        name: id,
        program,
        args: () => args,
        logFile: join(directory, 'sidecar.log'),
        restartAfterMs: localSidecarRestartMs,
        env: {
          ...withoutOurs(this.options.env),
          RESPMESH_ID: id,
          RESPMESH_PROXY: proxy,
          RESPMESH_LISTEN: `127.0.0.1:${ports[index]?.listen ?? 0}`,
          ...(this.options.hasUnixSocket && { RESPMESH_UNIX: this.socketPath(id) }),
          ...this.tlsEnv(index),
          RESPMESH_ADMIN: `127.0.0.1:${ports[index]?.admin ?? 0}`,
          RESPMESH_STREAM_URL: streamUrl,
          RESPMESH_STREAM_TOKEN_FILE: tokenFile,
          RESPMESH_STATE_DIR: directory,
        },
      },
      { guard, events: { onStart: () => {}, onExit: (how) => onExit(id, how) } },
    )
  }
}

/** Variables meant for another sidecar must not steer these. */
function withoutOurs(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('RESPMESH_')))
}
