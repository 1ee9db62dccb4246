/**
 * The last good configuration on disk, so that a sidecar that restarts while the control plane is away serves
 * on. A configuration is stored before it is acknowledged: a process that comes back never obeys an older one
 * than it has acknowledged.
 */
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ProxyConfig,
  acceptConfig,
  parseProxyConfig,
} from '../../common/contract/proxy-config.ts'
import { ConfigError, SystemError } from '../../common/errors.ts'
import { configFileBytesMax } from '../../common/limits.ts'
import type { Log } from '../../common/log.ts'

export interface StoreOptions {
  readonly stateDir?: string
  readonly bootstrapFile?: string
  /** Whose configuration is meant; another’s is left aside. */
  readonly proxy: { readonly namespace: string; readonly name: string }
}

export class ConfigStore {
  private readonly options: StoreOptions
  private readonly log: Log
  private isWritable = false

  constructor(options: StoreOptions, modules: { readonly log: Log }) {
    this.options = options
    this.log = modules.log
  }

  /** The newer of the stored and the bootstrap configuration; undefined if neither is there and usable. */
  async load(): Promise<ProxyConfig | undefined> {
    await this.checkWritable()
    const stored = this.isWritable ? await this.read(this.file) : undefined
    const bootstrap = await this.read(this.options.bootstrapFile)
    if (stored === undefined || bootstrap === undefined) return stored ?? bootstrap
    return acceptConfig(stored, bootstrap).kind === 'accept' ? bootstrap : stored
  }

  /**
   * Replaces the stored configuration, durable when it returns. Without a usable folder it does nothing.
   * @throws SystemError RM_STATE_WRITE when an older one is still there and can be neither replaced nor removed
   */
  async save(config: ProxyConfig): Promise<void> {
    const { file } = this
    if (!this.isWritable || file === undefined) return
    try {
      await writeDurably(file, JSON.stringify(config))
    } catch (cause) {
      this.log.error({ err: cause, file }, 'configuration could not be stored')
      await this.forget(file)
    }
  }

  private get file(): string | undefined {
    return this.options.stateDir === undefined
      ? undefined
      : join(this.options.stateDir, 'config.json')
  }

  /** A folder that cannot be written could only ever give an old configuration back: it is not used at all. */
  private async checkWritable(): Promise<void> {
    const { stateDir } = this.options
    if (stateDir === undefined) return
    try {
      await mkdir(stateDir, { recursive: true, mode: 0o700 })
      const probe = join(stateDir, '.config.json.part')
      await writeDurably(probe, '')
      await rm(probe)
      this.isWritable = true
    } catch (err) {
      this.log.warn({ err, folder: stateDir }, 'state folder cannot be written and is not used')
    }
  }

  private async forget(file: string): Promise<void> {
    try {
      await rm(file, { force: true })
    } catch (cause) {
      throw new SystemError(
        'RM_STATE_WRITE',
        `${file} holds an older configuration and can be neither replaced nor removed`,
        { cause, retryable: true },
      )
    }
  }

  private async read(file: string | undefined): Promise<ProxyConfig | undefined> {
    if (file === undefined) return undefined
    try {
      const config = await readConfigFile(file)
      const { namespace, name } = this.options.proxy
      if (config.proxy.namespace === namespace && config.proxy.name === name) return config
      this.log.warn({ file, proxy: config.proxy }, 'stored configuration is of another RedisProxy')
    } catch (err) {
      if (isMissing(err)) return undefined
      this.log.warn({ err, file }, 'stored configuration cannot be used')
    }
    return undefined
  }
}

/**
 * Reads and checks one configuration.
 * @throws ConfigError RM_CONFIG_UNREADABLE or RM_CONFIG_INVALID, naming the file
 */
export async function readConfigFile(file: string): Promise<ProxyConfig> {
  let value: unknown
  try {
    const { size } = await stat(file)
    if (size > configFileBytesMax) throw new Error(`it has ${size} bytes, more than allowed`)
    value = JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('RM_CONFIG_UNREADABLE', `${file} cannot be read as JSON: ${why}`, {
      cause,
    })
  }
  try {
    return parseProxyConfig(value)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.code, `${file}: ${error.message}`, {
      cause: error,
      data: error.data,
    })
  }
}

function isMissing(error: unknown): boolean {
  const cause: unknown = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
}

async function writeDurably(file: string, text: string): Promise<void> {
  const part = `${file}.new`
  const handle = await open(part, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(part, file)
}
