/** Server addresses as users write them: `redis://user:password@host:port`, `valkey://…`, `rediss://…`, `host:port`. */
import { ConfigError } from '../errors.ts'
import { Secret } from '../secret.ts'

export interface ServerUrl {
  readonly host: string
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

/**
 * Reads one address. A bare `host`, `host:port` or `[ipv6]:port` is plain TCP; the port defaults to 6379.
 * @throws ConfigError RM_ENDPOINT_INVALID; the message shows the address without its password.
 */
export function parseServerUrl(text: string): ServerUrl {
  const withScheme = text.includes('://') ? text : `redis://${text}`
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined
  if (url === undefined) throw invalid(text, 'it is not a URL or host:port')
  const scheme = schemes[url.protocol]
  if (scheme === undefined) {
    throw invalid(text, 'the scheme must be redis, rediss, valkey or valkeys')
  }
  if (url.hostname === '') throw invalid(text, 'the host is missing')
  if (url.pathname !== '' && url.pathname !== '/' && url.pathname !== '/0') {
    throw invalid(text, 'a database in the address is not supported; clients SELECT their own')
  }
  const port = url.port === '' ? defaultRedisPort : Number(url.port)
  if (port === 0) throw invalid(text, 'port 0 is not a port')
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port,
    isTls: scheme.isTls,
    ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
    ...(url.password !== '' && { password: new Secret(decodeURIComponent(url.password)) }),
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

/** `host:port`, with brackets around IPv6. */
export function formatHostPort(address: { readonly host: string; readonly port: number }): string {
  return address.host.includes(':')
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`
}

function invalid(text: string, why: string): ConfigError {
  const shown = text.replace(/\/\/[^@/]*@/, '//…@')
  return new ConfigError('RM_ENDPOINT_INVALID', `"${shown}" is not a usable address: ${why}`, {
    data: { address: shown },
  })
}
