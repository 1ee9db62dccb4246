/** Whether every file and variable that a configuration refers to can be used. */
import type { Credentials, ProxyConfig, UpstreamTls } from '../../common/contract/proxy-config.ts'
import { readSecret } from '../../common/secret.ts'
import type { Environment } from '../config/index.ts'
import { listenerKey } from '../net/listener.ts'
import { readTlsMaterial } from '../net/tls-context.ts'
import type { Findings } from './findings.ts'

/** What one configuration says and cannot mean. */
function verifySense({ listeners, upstream: { mode } }: ProxyConfig, findings: Findings): void {
  const keys = listeners.map(listenerKey).filter((key) => !key.endsWith(':0'))
  for (const key of new Set(keys.filter((key, index) => keys.indexOf(key) !== index))) {
    findings.add(`listener ${key} is there twice [RM_CONFIG_INVALID]`)
  }
  const hasOnePrimary = mode === 'standalone' || mode === 'replication'
  for (const listener of listeners) {
    if (listener.raw !== true || hasOnePrimary) continue
    const why = `mode is ${mode}, which has several primaries`
    findings.add(`listener ${listenerKey(listener)} is raw, and ${why} [RM_CONFIG_INVALID]`)
  }
}

export async function verifyFiles(
  config: ProxyConfig,
  env: Environment,
  findings: Findings,
): Promise<void> {
  const { listeners, admin, clientAuth, upstream } = config
  verifySense(config, findings)
  await Promise.all([
    ...listeners.map((listener) => {
      const what = `listener ${listenerKey(listener)}`
      return listener.tls && verifyListenerTls(what, listener.tls, findings)
    }),
    ...(clientAuth?.users ?? []).map((user) => verifyUser('clientAuth', user, env, findings)),
    ...(admin?.users ?? []).map((user) => verifyUser('admin', user, env, findings)),
    admin?.tls && verifyAdminTls(admin.tls, findings),
    upstream.credentials && verifyUser('upstream', upstream.credentials, env, findings),
    upstream.tls && verifyTls('upstream', upstream.tls, findings),
    upstream.sentinel?.credentials &&
      verifyUser('upstream.sentinel', upstream.sentinel.credentials, env, findings),
    upstream.sentinel?.tls && verifyTls('upstream.sentinel', upstream.sentinel.tls, findings),
  ])
}

type ListenerTls = NonNullable<ProxyConfig['listeners'][number]['tls']>

function verifyListenerTls(what: string, tls: ListenerTls, findings: Findings): Promise<void> {
  const { certFile, keyFile, clientCertificate = 'none', clientCaFile } = tls
  const isAsked = clientCertificate !== 'none'
  if (isAsked && clientCaFile === undefined) {
    findings.add(`${what}: clientCertificate is ${clientCertificate}; give tls.clientCaFile`)
  }
  const caFile = isAsked ? clientCaFile : undefined
  return findings.try(what, () => readTlsMaterial({ certFile, keyFile, caFile }))
}

type AdminTls = NonNullable<NonNullable<ProxyConfig['admin']>['tls']>

function verifyAdminTls(tls: AdminTls, findings: Findings): Promise<void> {
  const { certFile, keyFile, clientCaFile: caFile } = tls
  return findings.try('admin', () => readTlsMaterial({ certFile, keyFile, caFile }))
}

function verifyTls(what: string, tls: UpstreamTls, findings: Findings): Promise<void> {
  return findings.try(what, () => readTlsMaterial(tls))
}

async function verifyUser(
  what: string,
  { username, password }: Credentials,
  env: Environment,
  findings: Findings,
): Promise<void> {
  for (const reference of [username, password]) {
    if (reference !== undefined) await findings.try(what, () => readSecret(reference, env))
  }
}
