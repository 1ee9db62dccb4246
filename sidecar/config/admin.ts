/** The settings about the admin port: where it is, its certificate, who may use it. */
import type { AdminConfig } from '../../common/contract/proxy-config.ts'
import { backendSettings } from './backend-settings.ts'
import { readAddress } from './listeners.ts'
import type { Problems } from './problems.ts'
import type { GivenSettings } from './settings.ts'
import { readCredentials } from './upstream.ts'

/** Without an address it is added to the admin port of the configuration, if that has one. */
export function readAdmin(
  given: GivenSettings,
  problems: Problems,
): Partial<AdminConfig> | undefined {
  const address = readAddress(given.admin, problems)
  const user = readCredentials('admin', given, problems)
  const { adminTlsCertFile: cert, adminTlsKeyFile: key, adminTlsClientCaFile: ca } = given
  const lone = cert ?? key ?? ca
  if (lone !== undefined && (cert === undefined || key === undefined)) {
    const { adminTlsCertFile, adminTlsKeyFile } = backendSettings
    problems.add(lone, `TLS needs both ${adminTlsCertFile.env} and ${adminTlsKeyFile.env}`)
  }
  const tls = cert &&
    key && {
      certFile: cert.value,
      keyFile: key.value,
      ...(ca && { clientCaFile: ca.value }),
    }
  if (address === undefined && user === undefined && tls === undefined) return undefined
  return { ...address, ...(tls && { tls }), ...(user && { users: [user] }) }
}

/** Whether it says where the port is, and not only who may use it. */
export function hasPlace(admin: Partial<AdminConfig> | undefined): admin is AdminConfig {
  return admin?.host !== undefined && admin.port !== undefined
}
