/**
 * `respmesh sidecar`: puts the parts together. A source gives configurations, the keeper decides and hands them
 * to the data path, discovery finds the primary where the source does not name it, the admin port shows it all.
 */
import { hostname } from 'node:os'
import { type Clock, systemClock } from '../common/clock.ts'
import type { ProxyConfig } from '../common/contract/proxy-config.ts'
import { ConfigError, codeOf } from '../common/errors.ts'
import {
  defaultTiming,
  listenRetryMs,
  stopMarginMs,
  storedConfigGraceMs,
} from '../common/limits.ts'
import { type Log, createLog } from '../common/log.ts'
import { renderMetrics } from '../common/metrics.ts'
import { FileWatch } from '../common/secret-files.ts'
import { version } from '../common/version.ts'
import {
  AdminServer,
  type HealthInput,
  type Status,
  type TopologyAnswer,
  readiness,
  sidecarMetrics,
  startup,
  topologyAnswer,
} from './admin/index.ts'
import {
  type SidecarOptions,
  type StreamOptions,
  hasPlace,
  helpText,
  readSettings,
  sidecarOptions,
} from './config/index.ts'
import {
  ConfigKeeper,
  ConfigStore,
  FileSource,
  Grants,
  Reloader,
  StreamClient,
  evidenceOf,
  primaryStatus,
  readConfigFile,
} from './control/index.ts'
import type { DataPlane } from './data-plane.ts'
import { processBounds } from './overload/process-bounds.ts'
import { UseMeter, addUses } from './overload/process-use.ts'
import { machineMs } from './switch/machine-time.ts'
import { Discovery } from './topology/index.ts'
import { reasonsOf, verifyConfig } from './verify/index.ts'
import { createWorkers } from './workers/index.ts'

export interface SidecarModules {
  readonly dataPlane: DataPlane
  readonly log: Log
  readonly clock: Clock
  readonly random: () => number
}

export class Sidecar {
  private readonly options: SidecarOptions
  private readonly modules: SidecarModules
  private readonly keeper: ConfigKeeper
  private readonly discovery: Discovery
  private readonly admin: AdminServer
  private readonly meter: UseMeter
  private stream: StreamClient | undefined
  private file: FileSource | undefined
  private isDraining = false

  constructor(options: SidecarOptions, modules: SidecarModules) {
    const { dataPlane, log } = modules
    this.options = options
    this.modules = modules
    this.keeper = new ConfigKeeper(options.overrides, modules)
    this.meter = new UseMeter(modules.clock)
    this.admin = new AdminServer(
      {
        ready: () => readiness(this.health()),
        started: () => startup(this.health()),
        status: () => this.status(),
        config: () => this.keeper.config,
        topology: () => this.topology(),
        metrics: () => this.metrics(),
        pause: () => dataPlane.pause(),
        resume: () => dataPlane.resume(),
        reload: () => this.reload(),
        terminateRaw: () => dataPlane.terminateRaw(),
        logMessages: (wanted) => dataPlane.logMessages(wanted),
      },
      { ...modules, env: options.env, files: new FileWatch(log) },
    )
    this.discovery = new Discovery({
      env: options.env,
      log,
      clock: modules.clock,
      primary: () => dataPlane.view().primary,
      follow: (primary, replicas) => this.keeper.follow(primary, replicas),
    })
    this.keeper.onApplied((config) => {
      this.admin.use(config.admin).catch((err: unknown) => {
        log.error({ err }, 'the admin port stays as it was')
      })
    })
    this.keeper.onApplied((config) => this.discovery.use(config, this.keeper.seeds))
    dataPlane.onPrimaryChange((view) => {
      log.info({ primary: view }, 'primary is seen differently')
      this.stream?.report()
      if (view !== 'ok') this.discovery.pollNow()
    })
    dataPlane.authority.onEvidence(() => this.stream?.report())
  }

  /**
   * Local sources are in force when it returns; a stream goes on by itself, since there may be nothing to serve
   * yet.
   * @throws ConfigError, SystemError what makes a start impossible
   */
  async start(): Promise<void> {
    const { source, overrides, warnings } = this.options
    for (const warning of warnings) this.modules.log.warn({ warning }, 'setting has no effect')
    if (hasPlace(overrides.admin)) await this.admin.use(overrides.admin)
    switch (source.kind) {
      case 'standalone':
        await this.keeper.offer(source.config)
        return this.serving()
      case 'file':
        const reloader = new Reloader({ ...this.options, ...this.modules, keeper: this.keeper })
        this.file = new FileSource(source.path, {
          log: this.modules.log,
          obey: (config) => reloader.obey(config),
        })
        await this.file.start()
        return this.serving()
      case 'stream':
        return this.startStream(source.stream)
      default:
        source satisfies never
    }
  }

  /** Reads a configuration file again. Gives all reasons why it is not in force. */
  async reload(): Promise<readonly string[]> {
    if (this.file !== undefined) return this.file.reload()
    const { kind } = this.options.source
    this.modules.log.info({ source: kind }, 'nothing to read again')
    return [
      kind === 'stream'
        ? 'the configuration comes from the control plane and is obeyed as it comes'
        : 'the configuration comes from flags and variables: only a file can be read again',
    ]
  }

  /** Longest time that `stop` may take, milliseconds. */
  get stopTimeoutMs(): number {
    const { drainTimeoutMs } = this.keeper.config?.timing ?? defaultTiming
    return drainTimeoutMs + stopMarginMs
  }

  async stop(): Promise<void> {
    const { dataPlane, log } = this.modules
    log.info({ clients: dataPlane.view().clients }, 'stopping; commands in flight are finished')
    this.isDraining = true
    this.discovery.stop()
    this.file?.stop()
    // While commands are still in flight, a change of the primary is still obeyed; nothing begins any more.
    if (this.keeper.config === undefined) await this.stream?.stop()
    await dataPlane.stop()
    await this.stream?.stop()
    await this.admin.stop()
    this.meter.stop()
    log.info({}, 'stopped')
  }

  private async startStream(options: StreamOptions): Promise<void> {
    const { dataPlane, log } = this.modules
    const store = new ConfigStore(options, { log })
    const stored = await store.load()
    if (stored !== undefined) this.keeper.remember(stored)
    const { authority } = dataPlane
    const grants = new Grants({ nowMs: machineMs, give: (grant) => authority.grant(grant) })
    this.keeper.onApplied((config) => grants.use(config))
    const stream = new StreamClient(options, {
      ...this.modules,
      keeper: this.keeper,
      store,
      grants,
      evidence: () => evidenceOf(dataPlane.view()),
      suspect: (epoch, forMs) => authority.suspect(epoch, forMs),
    })
    this.stream = stream
    let isFirst = true
    this.keeper.onApplied((config) => {
      if (!isFirst) return
      isFirst = false
      this.serving(config).catch((err: unknown) => log.error({ err }, 'admin port not available'))
    })
    stream.start()
    if (stored === undefined) {
      log.info({ proxy: options.proxy }, 'waiting for a configuration from the control plane')
      return
    }
    await Promise.race([stream.settledOnce, elapsed(storedConfigGraceMs)])
    await this.serveStored(stored)
  }

  /** A port that is taken is tried again: the control plane may be away, and the app needs its Redis. */
  private async serveStored(stored: ProxyConfig): Promise<void> {
    const { log } = this.modules
    while (this.keeper.config === undefined && !this.isDraining) {
      try {
        const { kind } = await this.keeper.offer(stored)
        if (kind === 'applied')
          log.info({ epoch: stored.epoch }, 'serving the stored configuration')
        return
      } catch (err) {
        log.error({ err }, 'stored configuration could not be applied')
        if (codeOf(err) !== 'RM_LISTEN_FAILED') return
        await elapsed(listenRetryMs)
      }
    }
  }

  private async serving(config = this.keeper.config): Promise<void> {
    await this.admin.use(config?.admin)
    this.modules.log.info(
      {
        listeners: this.modules.dataPlane.addresses(),
        ...(this.admin.address !== undefined && { admin: this.admin.address }),
      },
      'sidecar is listening',
    )
  }

  private health(): HealthInput {
    const isFromStream = this.options.source.kind === 'stream'
    const { primary, grant } = this.modules.dataPlane.view()
    return {
      sinceConfigMs: this.keeper.sinceFirstMs(),
      isDraining: this.isDraining,
      primary,
      isAllowed: grant?.isValid ?? true,
      waitingFor: isFromStream
        ? 'a configuration from the control plane'
        : 'the listeners to be bound',
    }
  }

  private status(): Status {
    const view = this.modules.dataPlane.view()
    const { config, appliedAt } = this.keeper
    const { counters, isPaused, primary: _primary, primaryAddress: _address, ...rest } = view
    const { isDoubted: _isDoubted, heardAtMs: _heardAt, grant: _grant, ...counts } = rest
    return {
      version,
      source: this.options.source.kind,
      ready: readiness(this.health()),
      started: startup(this.health()),
      isPaused,
      primary: primaryStatus(view),
      ...(config !== undefined && {
        config: {
          proxy: `${config.proxy.namespace}/${config.proxy.name}`,
          epoch: config.epoch,
          version: config.version,
          appliedAt: new Date(appliedAt ?? 0).toISOString(),
        },
      }),
      ...(this.stream && { stream: this.stream.view() }),
      listeners: config === undefined ? [] : this.modules.dataPlane.addresses(),
      ...counts,
      counters: { ...counters },
    }
  }

  private topology(): TopologyAnswer | undefined {
    const { config } = this.keeper
    const view = this.modules.dataPlane.topology()
    return config && view && topologyAnswer(config, view)
  }

  private async metrics() {
    const { config, appliedAt } = this.keeper
    const view = this.modules.dataPlane.view()
    const topology = this.modules.dataPlane.topology()
    return renderMetrics(sidecarMetrics, {
      view,
      ...(topology && { topology }),
      process: addUses(await this.meter.read(), view.workers?.map(({ use }) => use) ?? []),
      version,
      isReady: readiness(this.health()).isOk,
      ...(config !== undefined && {
        config: { epoch: config.epoch, version: config.version, appliedAtMs: appliedAt ?? 0 },
      }),
      ...(this.stream && { stream: this.stream.view() }),
    })
  }
}

/** Everything that speaks against a configuration file; with `connects` its servers are asked too. */
export async function verifyFile(file: string, connects: boolean): Promise<readonly string[]> {
  try {
    const config = await readConfigFile(file)
    const { reasons } = await verifyConfig(config, { env: process.env, connects })
    return reasons
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return reasonsOf(error)
  }
}

/** @returns 0 after a clean stop, 1 when it cannot run, 2 for wrong arguments or configuration */
export async function sidecar(args: readonly string[]): Promise<number> {
  try {
    const settings = readSettings(args, process.env)
    if (settings.isHelp) {
      process.stdout.write(`${helpText()}\n`)
      return 0
    }
    // A password in an argument would stay visible in the list of processes.
    if (args.some((arg) => arg.includes('@'))) process.title = 'respmesh sidecar'
    const options = sidecarOptions(settings, process.env, `${hostname()}/${process.pid}`)
    return await run(options)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    process.stderr.write(`respmesh sidecar: ${error.message} [${error.code}]\n`)
    return 2
  }
}

async function run(options: SidecarOptions): Promise<number> {
  const log = createLog({ level: options.logLevel, part: 'sidecar' })
  const dataPlane = createWorkers({
    env: options.env,
    log,
    clock: systemClock,
    bounds: processBounds(),
  })
  const program = new Sidecar(options, { dataPlane, log, clock: systemClock, random: Math.random })
  exitOnBugs(log)
  const ended = untilSignal(program, log)
  try {
    await program.start()
  } catch (error) {
    await program.stop()
    throw error
  }
  const code = await ended
  // Only if something is still open, which would be a fault of ours and must not keep the pod.
  setTimeout(() => process.exit(code), stopMarginMs).unref()
  return code
}

function exitOnBugs(log: Log): void {
  const die = (err: unknown) => {
    log.error({ err }, 'internal error; the sidecar ends')
    process.exit(1)
  }
  process.on('unhandledRejection', die)
  process.on('uncaughtException', die)
}

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const

/** The first signal stops in order and within bounds, the second ends the process at once. */
function untilSignal(program: Sidecar, log: Log): Promise<number> {
  process.on('SIGHUP', () => void program.reload())
  return new Promise((resolve, reject) => {
    let isStopping = false
    const onSignal = (signal: keyof typeof signalNumbers) => {
      if (isStopping) process.exit(128 + signalNumbers[signal])
      isStopping = true
      setTimeout(() => {
        log.error({ timeoutMs: program.stopTimeoutMs }, 'stopping took too long; ended anyway')
        process.exit(1)
      }, program.stopTimeoutMs).unref()
      program.stop().then(() => resolve(0), reject)
    }
    process.on('SIGINT', () => onSignal('SIGINT'))
    process.on('SIGTERM', () => onSignal('SIGTERM'))
  })
}

function elapsed(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
