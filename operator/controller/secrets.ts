/** Reads what the controller itself needs of Secrets, and which optional keys there are. */
import { ConfigError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { RedisProxy } from '../api/redis-proxy.ts'
import type { ServerCredentials, ServerTls } from '../backend/index.ts'
import type { SecretKeys } from './compile.ts'
import type { SecretReader } from './provider.ts'

export interface ServerAccess {
  readonly credentials?: ServerCredentials
  readonly tls?: ServerTls
  readonly secretKeys: SecretKeys
}

/** @throws ConfigError RM_SECRET_UNREADABLE naming the Secret, or the key, that is missing */
export async function readAccess(proxy: RedisProxy, reader: SecretReader): Promise<ServerAccess> {
  const { auth, tls } = proxy.spec.backend
  const names = new Set(
    [
      auth?.secretRef,
      auth?.adminSecretRef,
      tls?.caSecretRef,
      tls?.clientCertSecretRef,
      proxy.spec.proxy.auth?.secretRef,
    ].flatMap((ref) => (ref === undefined ? [] : [ref.name])),
  )
  const secrets = new Map<string, Readonly<Record<string, string>>>()
  for (const name of names) {
    const data = await reader.readSecret(proxy.metadata.namespace, name)
    if (data === undefined) throw missing(proxy, name)
    secrets.set(name, data)
  }
  const value = (name: string, key: string) => {
    const found = secrets.get(name)?.[key]
    if (found === undefined) throw missing(proxy, name, key)
    return found
  }
  const admin = auth?.adminSecretRef ?? auth?.secretRef
  const username = admin && secrets.get(admin.name)?.['username']
  return {
    ...(admin && {
      credentials: {
        ...(username !== undefined && { username }),
        password: new Secret(value(admin.name, 'password')),
      },
    }),
    ...(tls && { tls: serverTls(tls, value) }),
    secretKeys: new Map([...secrets].map(([name, data]) => [name, new Set(Object.keys(data))])),
  }
}

function serverTls(
  tls: NonNullable<RedisProxy['spec']['backend']['tls']>,
  value: (name: string, key: string) => string,
): ServerTls {
  const { caSecretRef, clientCertSecretRef, serverName } = tls
  return {
    verify: tls.mode === 'VerifyFull',
    ...(caSecretRef && { ca: value(caSecretRef.name, 'ca.crt') }),
    ...(clientCertSecretRef && {
      cert: value(clientCertSecretRef.name, 'tls.crt'),
      key: value(clientCertSecretRef.name, 'tls.key'),
    }),
    ...(serverName !== undefined && { serverName }),
  }
}

function missing(proxy: RedisProxy, name: string, key?: string): ConfigError {
  const { namespace } = proxy.metadata
  const what = key === undefined ? '' : `the key ${key} of `
  return new ConfigError(
    'RM_SECRET_UNREADABLE',
    `${what}the Secret ${namespace}/${name}, which RedisProxy ${proxy.metadata.name} names, is missing`,
    { retryable: true },
  )
}
