/** A configuration that comes from a file: read at start, again on request, and when the file has changed. */
import { unwatchFile, watchFile } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { ConfigError, codeOf } from '../../common/errors.ts'
import { configFilePollMs } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'
import { reasonsOf } from '../verify/index.ts'
import type { Offered } from './keeper.ts'
import { readConfigFile } from './store.ts'

export interface FileSourceModules {
  readonly log: Log
  /** Applies a configuration that differs from the last one read. */
  readonly obey: (config: ProxyConfig) => Promise<Offered>
}

export class FileSource {
  private readonly path: string
  private readonly modules: FileSourceModules
  private last: ProxyConfig | undefined
  private tail: Promise<void> = Promise.resolve()
  private readonly onChange = () => void this.reload()

  constructor(path: string, modules: FileSourceModules) {
    this.path = path
    this.modules = modules
  }

  /** @throws ConfigError for a file that is not usable, SystemError for listeners that cannot be bound */
  async start(): Promise<void> {
    await this.take()
    // Asked for by name again and again, since an editor or a mounted volume puts another file in its place.
    watchFile(this.path, { interval: configFilePollMs }, this.onChange)
  }

  /** Reads the file again. Gives all reasons why it was not obeyed, if any: the configuration in force stays then. */
  reload(): Promise<readonly string[]> {
    const result = this.tail.then(() => this.tryTake())
    this.tail = result.then(() => undefined)
    return result
  }

  stop(): void {
    unwatchFile(this.path, this.onChange)
  }

  private async tryTake(): Promise<readonly string[]> {
    const { log } = this.modules
    try {
      await this.take()
      return []
    } catch (err) {
      if (codeOf(err) === undefined) throw err
      const reasons = reasonsOf(err)
      log.error(
        { err, reasons, file: this.path },
        'configuration refused; the last good one stays in force',
      )
      return reasons
    }
  }

  private async take(): Promise<void> {
    const config = await readConfigFile(this.path)
    if (isDeepStrictEqual(config, this.last)) {
      this.modules.log.info({ file: this.path }, 'configuration file has not changed')
      return
    }
    const offered = await this.modules.obey(config)
    if (offered.kind === 'refused') {
      const { code, reason } = offered
      throw new ConfigError(code, `${this.path} is not obeyed: ${reason}; raise its epoch`)
    }
    this.last = config
  }
}
