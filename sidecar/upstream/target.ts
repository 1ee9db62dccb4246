/** What a configuration says of the primary and of the way to it. */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { ProxyError, UpstreamError } from '../../common/errors.ts'
import type { Target } from './connect.ts'

export function targetOf(config: ProxyConfig): Target | undefined {
  const { primary, credentials, tls } = config.upstream
  if (primary === undefined) return undefined
  return {
    primary,
    ...(credentials && { credentials }),
    ...(tls && { tls }),
    connectTimeoutMs: config.timing.connectTimeoutMs,
  }
}

export function isSameTarget(left: Target | undefined, right: Target | undefined): boolean {
  return JSON.stringify(left) === JSON.stringify(right)
}

export function givenUp(): UpstreamError {
  return new UpstreamError('RM_NO_PRIMARY', 'no primary can be used', { retryable: true })
}

/** Whether a server could not be connected because it runs a script and admits nobody. */
export function isBusy(error: unknown): boolean {
  return error instanceof ProxyError && error.data.isBusy === true
}
