/** What a configuration is compiled from, and the parts of it that several need: Secrets, TLS, the recorded primary. Pure. */
import type { BackendSpec, RedisProxy } from '../api/redis-proxy.ts'
import type { SidecarPlacement } from './provider.ts'

/** Optional keys that a Secret was found to have; absent Secrets are not listed. */
export type SecretKeys = ReadonlyMap<string, ReadonlySet<string>>

export interface CompileInput {
  readonly proxy: RedisProxy
  readonly version: number
  readonly placement: SidecarPlacement
  readonly secretKeys: SecretKeys
  readonly qualifyHost: (host: string) => string
  /** Where the pod behind a host of the spec runs, as far as that is known. */
  readonly zoneOf?: (host: string) => string | undefined
  /** Where the recorded process was met, if not by its name. It stays there as long as it lives. */
  readonly primaryHost?: string
}

export function credentials(input: CompileInput, name: string): object {
  const { proxy, placement, secretKeys } = input
  const file = (key: string) => ({ file: placement.secretFile(proxy, name, key) })
  return {
    ...(secretKeys.get(name)?.has('username') === true && { username: file('username') }),
    password: file('password'),
  }
}

export function recordedPrimary(input: CompileInput) {
  const { primary } = input.proxy.status ?? {}
  if (primary === undefined) return undefined
  return { ...serverAt(input, primary.address), runId: primary.runId }
}

/** A server by its address in the status. */
export function serverAt({ qualifyHost }: CompileInput, address: string) {
  if (isUnixSocket(address)) return { host: address, port: 0 }
  const colon = address.lastIndexOf(':')
  return { host: qualifyHost(address.slice(0, colon)), port: Number(address.slice(colon + 1)) }
}

/** To the servers, or to Sentinels. */
export function tls(input: CompileInput, wanted: NonNullable<BackendSpec['tls']>): object {
  const { proxy, placement, primaryHost } = input
  const file = (name: string, key: string) => placement.secretFile(proxy, name, key)
  const { caSecretRef, clientCertSecretRef } = wanted
  // A certificate is for the name, whatever leads there.
  const name = recordedPrimary(input)?.host
  const isElsewhere = primaryHost !== undefined && primaryHost !== name
  const serverName = wanted.serverName ?? (isElsewhere ? name : undefined)
  return {
    verify: wanted.mode === 'VerifyFull',
    ...(caSecretRef && { caFile: file(caSecretRef.name, 'ca.crt') }),
    ...(clientCertSecretRef && {
      certFile: file(clientCertSecretRef.name, 'tls.crt'),
      keyFile: file(clientCertSecretRef.name, 'tls.key'),
    }),
    ...(serverName !== undefined && { serverName }),
  }
}

/** The name of a member in status and messages. */
export function addressOf({
  host,
  port,
}: {
  readonly host: string
  readonly port: number
}): string {
  return isUnixSocket(host) ? host : `${host}:${port}`
}

/** Servers of this machine only, as `respmesh up` fronts them. */
function isUnixSocket(host: string): boolean {
  return host.startsWith('/')
}
