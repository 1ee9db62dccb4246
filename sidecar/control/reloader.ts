/**
 * Goes over to a configuration that somebody put in the place of another: looks first whether all of it can be used,
 * servers included, and says everything that speaks against it; only then are commands held, and only if the backend
 * changes. What comes from the control plane is obeyed at once instead: a withdrawn primary cannot wait.
 */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { ConfigError } from '../../common/errors.ts'
import type { Log } from '../../common/log.ts'
import type { Environment } from '../config/index.ts'
import { verifyConfig } from '../verify/index.ts'
import type { ConfigKeeper, Offered } from './keeper.ts'

export interface ReloaderModules {
  readonly keeper: ConfigKeeper
  readonly env: Environment
  readonly log: Log
}

export class Reloader {
  private readonly modules: ReloaderModules

  constructor(modules: ReloaderModules) {
    this.modules = modules
  }

  /**
   * The first configuration comes into force as it is; each later one as said above.
   * @throws ConfigError RM_CONFIG_REJECTED with all `reasons`; nothing has changed then
   */
  async obey(next: ProxyConfig): Promise<Offered> {
    const { keeper, env, log } = this.modules
    const current = keeper.config
    if (current === undefined) return keeper.replace(next)
    const isSwitch = keeper.changesBackend(next)
    const verified = await verifyConfig(keeper.preview(next), { env, current, connects: isSwitch })
    const stale = keeper.staleness(next)
    const reasons = [...(stale === undefined ? [] : [stale]), ...verified.reasons]
    if (reasons.length > 0) {
      throw new ConfigError('RM_CONFIG_REJECTED', `nothing was changed: ${reasons.join('; ')}`, {
        data: { reasons },
        retryable: true,
      })
    }
    for (const remark of verified.remarks)
      log.warn({ remark }, 'a server cannot be used at present')
    const { primary } = verified
    return keeper.replace(next, { isSwitch, ...(primary && { primary }) })
  }
}
