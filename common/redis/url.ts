/**
 * Server addresses as users write them: `redis://user:password@host:port`, `valkey://…`, `rediss://…`,
 * `host:port`, and `unix:///run/redis.sock` or just the path of a socket.
 */
import { ConfigError } from '../errors.ts'
import { Secret } from '../secret.ts'

export interface ServerUrl {
  /** A name, an address, or the absolute path of a unix socket. */
  readonly host: string
  /** 0 with a unix socket. */
  readonly port: number
  readonly isTls: boolean
  readonly username?: string
  readonly password?: Secret
}

const schemes: Readonly<Record<string, { readonly isTls: boolean }>> = {
  'redis:': { isTls: false },
  'valkey:': { isTls: false },
  'rediss:': { isTls: true },
  'valkeys:': { isTls: true },
}

export const defaultRedisPort = 6379
/** Longest path of a unix socket that the kernel takes, bytes. */
export const unixPathBytesMax = 107

/**
 * Reads one address. A bare `host`, `host:port` or `[ipv6]:port` is plain TCP; the port defaults to 6379. A path
 * from the root, bare or after `unix:`, is a unix socket.
 * @throws ConfigError RM_ENDPOINT_INVALID naming the part that is wrong; it shows the address without user and password.
 */
export function parseServerUrl(text: string): ServerUrl {
  if (text.startsWith('/') || /^unix:/i.test(text)) return parseUnixUrl(text)
  const withScheme = text.includes('://') ? text : `redis://${text}`
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined
  if (url === undefined) throw invalid(text, 'it is not a URL or host:port')
  const scheme = schemes[url.protocol]
  if (scheme === undefined) {
    throw invalid(text, 'the scheme must be redis, rediss, valkey, valkeys or unix')
  }
  if (url.hostname === '') throw invalid(text, 'the host is missing')
  if (url.pathname !== '' && url.pathname !== '/' && url.pathname !== '/0') {
    throw invalid(text, otherDatabase)
  }
  checkRest(text, url)
  const port = url.port === '' ? defaultRedisPort : Number(url.port)
  if (port === 0) throw invalid(text, 'port 0 is not a port')
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    isTls: scheme.isTls,
    ...userOf(text, url),
  }
}

const otherDatabase =
  'a database other than 0 in the address is not supported; clients SELECT their own'

/** `/path`, `unix:/path`, `unix:///path` and `unix://user:password@/path`, each with `?db=0` or without. */
function parseUnixUrl(text: string): ServerUrl {
  const match = /^(?:unix:(?:\/\/([^/]*@)?)?)?(\/(?!\/)[^?#]*)(.*)$/is.exec(text)
  const [, user = '', encodedPath = '', rest = ''] = match ?? []
  const withHost = `redis://${user}localhost/${rest}`
  if (match === null || !URL.canParse(withHost)) {
    throw invalid(text, 'a unix socket is given by its path from the root: unix:///run/redis.sock')
  }
  const path = decoded(text, encodedPath, 'the path')
  if (Buffer.byteLength(path) > unixPathBytesMax) {
    throw invalid(text, `the path of a unix socket has at most ${unixPathBytesMax} bytes`)
  }
  if (path.includes('\0') || path.endsWith('/')) {
    throw invalid(text, 'the path is not that of a socket')
  }
  const url = new URL(withHost)
  checkRest(text, url)
  return { host: path, port: 0, isTls: false, ...userOf(text, url) }
}

const tlsParameter = /^(ssl|tls|ca|cert|key|sni|insecure|skip_?verify)/i

/** @throws ConfigError RM_ENDPOINT_INVALID if something follows the path that would have no effect */
function checkRest(text: string, url: URL): void {
  if (url.hash !== '') {
    throw invalid(text, 'it has a part after #; in a user or password # is written %23')
  }
  for (const [name, value] of url.searchParams) {
    if (name === 'db' && value === '0') continue
    if (name === 'db') throw invalid(text, otherDatabase)
    if (tlsParameter.test(name)) {
      throw invalid(
        text,
        `the parameter ?${name} is not supported; give files and names for TLS by the RESPMESH_UPSTREAM_TLS_… variables`,
      )
    }
    if (/^(user(name)?|pass(word)?)$/i.test(name)) {
      throw invalid(text, `the parameter ?${name} is not supported; write USER:PASSWORD@ before it`)
    }
    throw invalid(text, `the parameter ?${name} is not supported; remove it`)
  }
}

function userOf(text: string, url: URL): Pick<ServerUrl, 'username' | 'password'> {
  const { username, password } = url
  return {
    ...(username !== '' && { username: decoded(text, username, 'the user') }),
    ...(password !== '' && { password: new Secret(decoded(text, password, 'the password')) }),
  }
}

function decoded(text: string, part: string, name: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw invalid(text, `${name} has a % that begins no %XX; a percent sign is written %25`)
  }
}

/** `host:port`, `[::1]:port`, or `:port` for all addresses. @throws ConfigError RM_ENDPOINT_INVALID */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65535)
    throw invalid(text, 'expected HOST:PORT, e.g. 127.0.0.1:16379')
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? '0.0.0.0' : host, port }
}

/** Whether the host of a server is the path of its unix socket. */
export function isUnixPath(host: string): boolean {
  return host.startsWith('/')
}

/** `host:port`, with brackets around IPv6; a unix socket is its path. */
export function formatHostPort(address: { readonly host: string; readonly port: number }): string {
  if (isUnixPath(address.host)) return address.host
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

function invalid(text: string, why: string): ConfigError {
  const shown = withoutUser(text)
  return new ConfigError('RM_ENDPOINT_INVALID', `"${shown}" is not a usable address: ${why}`, {
    data: { address: shown },
  })
}

/** Whatever may be user or password, wherever a wrong character cut it: all up to the last `@`, and what looks like a parameter. */
function withoutUser(text: string): string {
  const shown = text.replace(/([?&](?:user(?:name)?|pass(?:word)?)=)[^&#]*/gi, '$1…')
  const at = shown.lastIndexOf('@')
  if (at === -1) return shown
  const start = /^[a-z][a-z0-9+.-]*:(?:\/\/)?/i.exec(shown)?.[0] ?? ''
  return `${start}…${shown.slice(at)}`
}
