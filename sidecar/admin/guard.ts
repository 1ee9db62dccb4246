/** Who may change something through the admin port: processes of this machine or pod, and no web page. */
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/**
 * Why the request may not change anything; undefined if it may. The port may be bound where kubelet’s probes
 * reach it, so the peer must be on loopback; and as a browser on this machine is a loopback peer too, the Host
 * must be a loopback name (no DNS rebinding) and the page, if one asks, from here.
 */
export function refusalOf(request: IncomingMessage): string | undefined {
  if (!isLoopback(request.socket.remoteAddress)) {
    return 'only processes of the same machine or pod may do this; connect to 127.0.0.1'
  }
  if (!isLoopbackHost(request.headers.host)) {
    return 'the Host header must be localhost or a loopback address'
  }
  if (isForeignPage(request)) return 'web pages of other origins may not do this'
  const { origin } = request.headers
  if (origin !== undefined && !(URL.canParse(origin) && isLoopbackHost(new URL(origin).host))) {
    return 'web pages of other origins may not do this'
  }
  return undefined
}

/** Whether a web page that does not come from this port asks. */
export function isForeignPage({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  return origin !== undefined && !(URL.canParse(origin) && new URL(origin).host === host)
}

export function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  const plain = address.replace(/^::ffff:/, '')
  return (isIP(plain) === 4 && plain.startsWith('127.')) || plain === '::1'
}

function isLoopbackHost(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return name.toLowerCase() === 'localhost' || isLoopback(name)
}
