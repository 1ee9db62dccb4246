/**
 * Operating errors: expected to happen, coded, and explained in `docs/errors.md` (a test compares).
 * Programmer errors are assertions; they crash.
 */

/** Every code, with the sentence that `docs/errors.md` explains. Codes are stable once released. */
export const errorCodes = {
  RM_CONFIG_INVALID: 'A configuration or manifest has fields that are wrong.',
  RM_CONFIG_UNREADABLE: 'A configuration or manifest file cannot be read or is not YAML or JSON.',
  RM_CONFIG_STALE_EPOCH: 'A configuration of an older topology epoch was refused.',
  RM_CONFIG_STALE_VERSION: 'A configuration older than the one in force was refused.',
  RM_CONFIG_RESTART: 'A changed field takes effect only when the sidecar is started again.',
  RM_CONFIG_REJECTED: 'A new configuration cannot be used; the one in force stays.',
  RM_ENDPOINT_INVALID: 'An endpoint or URL is not one that respmesh understands.',
  RM_SECRET_UNREADABLE: 'A secret’s file or environment variable cannot be read.',
  RM_TLS_FILES: 'A certificate, its key or a file of authorities cannot be used.',
  RM_STREAM_LINE: 'The configuration stream carried something that is not a message.',
  RM_STREAM_REFUSED: 'The control plane refused the sidecar’s stream.',
  RM_STREAM_LOST: 'The configuration stream ended; the last good configuration stays in force.',
  RM_STATE_WRITE: 'The last good configuration cannot be stored.',
  RM_LISTEN_FAILED: 'A port or socket cannot be bound.',
  RM_NO_PRIMARY: 'No server may take the command at present.',
  RM_UPSTREAM_CONNECT: 'A server cannot be reached.',
  RM_UPSTREAM_IDENTITY: 'A server is not the process or not in the role that the topology names.',
  RM_UPSTREAM_AUTH: 'A server refuses the upstream credentials.',
  RM_UPSTREAM_LOST: 'The connection to the server ended with the command sent and unanswered.',
  RM_UNCONFIRMED: 'A write was run, and too few replicas confirmed it in time.',
  RM_UPSTREAM_TIMEOUT: 'The server did not answer in time.',
  RM_HOLD_TIMEOUT: 'A command was held for a primary for as long as it may be.',
  RM_REDIRECTS: 'Servers sent a command from one to another until it was given up.',
  RM_REPLIES: 'Several servers answered one command, and their replies cannot be made one.',
  RM_OVERLOADED: 'A bound of the sidecar is reached and the command was not accepted.',
  RM_PAUSED: 'The sidecar is paused and the command was held too long.',
  RM_COMMAND_REFUSED: 'The command policy of the sidecar does not let the command through.',
  RM_NOT_SHARDED:
    'A command is about one server’s connection and not possible where keys are at several.',
  RM_PROBE_FAILED: 'The controller could not read a server’s state.',
  RM_PROMOTE_FAILED: 'A replica could not be promoted.',
  RM_REPLICATE_FAILED: 'A server could not be made a replica.',
  RM_HANDOVER_FAILED: 'A planned change of the primary could not be carried out.',
  RM_GUARD_FAILED: 'A setting that protects the data could not be made on a server.',
  RM_CONFLICT: 'Another writer changed the object first.',
  RM_API: 'The Kubernetes API answered with an error.',
  RM_LEASE_LOST: 'Leadership was lost.',
  RM_WEBHOOK: 'An admission request cannot be answered.',
  RM_PKI: 'A certificate cannot be made or read.',
  RM_SERVER_NOT_FOUND: 'No redis-server or valkey-server was found on this machine.',
  RM_LOCAL_START: 'A local process could not be started.',
  RM_STATUS: 'Nobody answers where a status was asked for, or not with one.',
  RM_USAGE: 'The command line is not understood.',
} as const

export type ErrorCode = keyof typeof errorCodes

export interface ProxyErrorOptions {
  readonly cause?: unknown
  /** Facts for logs and users; never credentials or keys’ values. */
  readonly data?: Readonly<Record<string, unknown>>
  /** Whether the same attempt may succeed later without anyone changing anything. */
  readonly retryable?: boolean
}

export class ProxyError extends Error {
  readonly code: ErrorCode
  readonly data: Readonly<Record<string, unknown>>
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: ProxyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.data = options.data ?? {}
    this.retryable = options.retryable ?? false
  }
}

/** A configuration, manifest or argument is wrong; nothing changes until someone mends it. */
export class ConfigError extends ProxyError {}
/** The configuration stream. */
export class StreamError extends ProxyError {}
/** A server of the backend. */
export class UpstreamError extends ProxyError {}
/** Something of this machine: ports, files, processes. */
export class SystemError extends ProxyError {}
/** In the operator: not retried until the spec changes. */
export class TerminalError extends ProxyError {}

/** The code of the nearest `ProxyError` in a chain of causes, if there is one. */
export function codeOf(error: unknown): ErrorCode | undefined {
  let current: unknown = error
  for (let depth = 0; depth < 16 && current instanceof Error; depth += 1) {
    if (current instanceof ProxyError) return current.code
    current = current.cause
  }
  return undefined
}

/** Node’s `code` (`ECONNREFUSED`) of the nearest system error in a chain of causes. */
export function systemCodeOf(error: unknown): string | undefined {
  let current: unknown = error
  for (let depth = 0; depth < 16 && current instanceof Error; depth += 1) {
    if ('code' in current && typeof current.code === 'string' && !current.code.startsWith('RM_')) {
      return current.code
    }
    current = current.cause
  }
  return undefined
}

export function assertNever(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`)
}
