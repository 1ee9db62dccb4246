/**
 * Looks whether a configuration can be used, before it is: files, secrets, ports, servers. It changes nothing, and a
 * client of the configuration in force notices nothing. Every reason that speaks against it is told, not only the first.
 */
import type { ProxyConfig, UpstreamPrimary } from '../../common/contract/proxy-config.ts'
import { silentLog } from '../../common/log.ts'
import { FileWatch } from '../../common/secret-files.ts'
import type { Environment } from '../config/index.ts'
import { Findings } from './findings.ts'
import { verifyFiles } from './files.ts'
import { verifyPlaces } from './places.ts'
import { verifyServers } from './servers.ts'

export interface VerifyOptions {
  readonly env: Environment
  /** What is in force: its ports are ours already. Absent: no port is tried. */
  readonly current?: ProxyConfig | undefined
  /** Whether servers are connected. */
  readonly connects: boolean
}

export interface Verified {
  /** What speaks against it; empty: it can be used. */
  readonly reasons: readonly string[]
  readonly remarks: readonly string[]
  /** Where nothing names the primary: the one that was found. */
  readonly primary?: UpstreamPrimary
}

/** Takes as long as the slowest of its attempts to connect (`timing.connectTimeoutMs`), not their sum. */
export async function verifyConfig(config: ProxyConfig, options: VerifyOptions): Promise<Verified> {
  const { env, current, connects } = options
  const findings = new Findings()
  const files = new FileWatch(silentLog)
  const primary = connects ? verifyServers(config, { env, files, current, findings }) : undefined
  try {
    await Promise.all([
      verifyFiles(config, env, findings),
      current && verifyPlaces(config, current, { files, findings }),
    ])
    const found = await primary
    const { reasons, remarks } = findings
    return { reasons, remarks, ...(found !== undefined && { primary: found }) }
  } finally {
    await primary
    files.stop()
  }
}
