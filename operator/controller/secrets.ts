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
  /** Sentences about Secrets that only sidecars need, and that are missing: no reason to leave the servers alone. */
  readonly missing: readonly string[]
}

/** @throws ConfigError RM_SECRET_UNREADABLE naming the Secret, or the key, that the controller itself lacks */
export async function readAccess(proxy: RedisProxy, reader: SecretReader): Promise<ServerAccess> {
  const { auth, tls } = proxy.spec.backend
  const admin = auth?.adminSecretRef ?? auth?.secretRef
  const needs = [
    ...need(admin, 'password'),
    ...need(tls?.caSecretRef, 'ca.crt'),
    ...need(tls?.clientCertSecretRef, 'tls.crt', 'tls.key'),
  ]
  const sidecarNeeds = needsOfSidecars(proxy)
  const secrets = new Map<string, Readonly<Record<string, string>>>()
  for (const name of new Set([...needs, ...sidecarNeeds].map((each) => each.name))) {
    const data = await reader.readSecret(proxy.metadata.namespace, name)
    if (data !== undefined) secrets.set(name, data)
  }
  const lacks = ({ name, key }: Need) => secrets.get(name)?.[key] === undefined
  const lacking = needs.find(lacks)
  if (lacking !== undefined) {
    const message = missing(proxy, lacking, secrets.has(lacking.name))
    throw new ConfigError('RM_SECRET_UNREADABLE', message, { retryable: true })
  }
  const value = (name: string, key: string) => secrets.get(name)?.[key] ?? ''
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
    missing: sidecarNeeds.filter(lacks).map((each) => missing(proxy, each, secrets.has(each.name))),
  }
}

interface Need {
  readonly name: string
  readonly key: string
}

function need(ref: { readonly name: string } | undefined, ...keys: readonly string[]): Need[] {
  return ref === undefined ? [] : keys.map((key) => ({ name: ref.name, key }))
}

function needsOfSidecars({ spec }: RedisProxy): Need[] {
  const { admin, auth, tls } = spec.proxy
  const { sentinel } = spec.backend
  return [
    ...need(spec.backend.auth?.secretRef, 'password'),
    ...need(auth?.secretRef, 'password'),
    ...need(tls?.secretRef, 'tls.crt', 'tls.key'),
    ...need(tls?.clientCaSecretRef, 'ca.crt'),
    ...need(admin?.auth?.secretRef, 'password'),
    ...need(admin?.tls?.secretRef, 'tls.crt', 'tls.key'),
    ...need(sentinel?.auth?.secretRef, 'password'),
    ...need(sentinel?.tls?.caSecretRef, 'ca.crt'),
    ...need(sentinel?.tls?.clientCertSecretRef, 'tls.crt', 'tls.key'),
  ]
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

function missing(proxy: RedisProxy, { name, key }: Need, isThere: boolean): string {
  const { namespace } = proxy.metadata
  const what = isThere ? `the key ${key} of ` : ''
  return `${what}the Secret ${namespace}/${name}, which RedisProxy ${proxy.metadata.name} names, is missing`
}
