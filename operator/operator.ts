/**
 * The operator in Kubernetes, put together: certificates, stream and injector on every replica; lease and
 * controller on the one that leads.
 */
import { createServer as createHttpsServer } from 'node:https'
import type { SecureContextOptions } from 'node:tls'
import { SystemError } from '../common/errors.ts'
import {
  admissionLookupMs,
  admissionPendingMax,
  apiRetryMaxMs,
  operatorFarewellMs,
  pkiCheckMs,
} from '../common/limits.ts'
import { StopStack, type Stoppable } from '../common/lifecycle.ts'
import { measureProcess, renderMetrics } from '../common/metrics.ts'
import type { ProxyKey } from './api/redis-proxy.ts'
import { Controller } from './controller/index.ts'
import type { ConfigPublisher } from './controller/index.ts'
import { startHealthServer } from './health.ts'
import { createWebhook, review } from './inject/index.ts'
import { Kube, type KubeModules, announceAuthority, createPkiSecret, pause } from './kube/index.ts'
import { type OperatorFigures, operatorMetrics } from './metrics.ts'
import { type HostPort, type OperatorOptions, dnsNamesOf } from './options.ts'
import { type PkiMaterial, PkiKeeper, bundleOf } from './pki/index.ts'
import { createStreamServer } from './stream/index.ts'

const leaseName = 'respmesh-operator'
const pkiSecretName = 'respmesh-operator-pki'

export class Operator implements Stoppable {
  private readonly options: OperatorOptions
  private readonly modules: KubeModules
  private readonly kube: Kube
  private readonly pki: PkiKeeper
  private readonly parts = new StopStack()
  private readonly injections = new Map<string, number>()
  private publisher: ConfigPublisher | undefined
  /** Why it is not ready; empty: it is. */
  private notReady = 'starting'

  constructor(options: OperatorOptions, modules: KubeModules) {
    const { namespace, identity, watchNamespace } = options
    this.options = options
    this.modules = modules
    this.kube = new Kube(
      { namespace, identity, leaseName, ...(watchNamespace !== undefined && { watchNamespace }) },
      modules,
    )
    const store = createPkiSecret({ namespace, name: pkiSecretName }, this.kube.client)
    const { clock, log } = modules
    this.pki = new PkiKeeper({ dnsNames: dnsNamesOf(options) }, { store, clock, log })
  }

  /** Runs until the signal is aborted. @throws SystemError RM_LISTEN_FAILED */
  async run(signal: AbortSignal): Promise<void> {
    const { log } = this.modules
    this.parts.add(
      'health',
      await startHealthServer(
        this.options.metrics,
        { ready: () => this.notReady, metrics: () => this.renderMetrics() },
        log,
      ),
    )
    const material = await this.firstCertificates(signal)
    if (material === undefined) return
    this.parts.add('certificates', this.pki)
    this.notReady = 'RedisProxies and pods are not listed yet'
    this.kube.bootstrap.setBundle(bundleOf(material))
    this.parts.add('kubernetes', this.kube)
    const controller = await this.startStream(material)
    await Promise.race([this.kube.start(), aborted(signal)])
    if (signal.aborted) return
    await this.startWebhook(material)
    this.parts.add('farewell', { stop: () => pause(operatorFarewellMs) })
    controller.start()
    this.kube.elector.start()
    this.parts.add('lease', this.kube.elector)
    this.parts.add('controller', controller)
    this.notReady = ''
    log.info({}, 'operator is ready')
    await aborted(signal)
  }

  /**
   * Hands leadership over at once. Admission reviews are answered for a little longer: the cluster sends them
   * until it has noticed, and a pod whose review is lost has no sidecar.
   */
  async stop(): Promise<void> {
    this.notReady = 'stopping'
    await this.parts.stop()
  }

  /** The API server may be away at first; there is nothing to do without it. */
  private async firstCertificates(signal: AbortSignal): Promise<PkiMaterial | undefined> {
    while (!signal.aborted) {
      try {
        return await this.pki.start()
      } catch (err) {
        this.notReady = 'the certificates cannot be read from, or written to, their Secret'
        this.modules.log.warn({ err }, 'certificates cannot be had yet; trying again')
        await pause(apiRetryMaxMs, signal)
      }
    }
    return undefined
  }

  /** The stream is served by the leader only, whose publisher knows what was decided. */
  private async startStream(material: PkiMaterial): Promise<Controller> {
    const { kube, modules } = this
    const { clock, log } = modules
    const stream = createStreamServer(
      {
        authenticate: (token, key) => kube.authenticate(token, key),
        isServing: () => kube.elector.isLeader(),
        isKnown: (key) => kube.proxies.get(key) !== undefined,
      },
      { log, clock },
    )
    this.parts.add('stream', stream)
    const listening = await stream.listen({ ...this.options.stream, tls: tlsOf(material) })
    this.pki.onChange((next) => {
      listening.replaceTls(tlsOf(next))
      kube.bootstrap.setBundle(bundleOf(next))
    })
    this.publisher = stream.publisher
    const controller = new Controller({
      provider: kube.provider(stream.publisher),
      clock,
      log,
      random: modules.random,
    })
    kube.elector.onChange((isLeader) => {
      if (!isLeader) stream.disconnectAll('another replica leads now')
      controller.enqueueAll()
    })
    return controller
  }

  /** Only once it listens is the API server told to trust, and so to ask, it. */
  private async startWebhook(material: PkiMaterial): Promise<void> {
    const { webhookConfig, webhook } = this.options
    if (webhookConfig === undefined) return
    const handler = this.webhookHandler()
    const server = createHttpsServer({ minVersion: 'TLSv1.2', ...tlsOf(material) }, handler)
    server.maxConnections = admissionPendingMax * 4
    await listen(server, webhook)
    const announce = () => this.announce(webhookConfig)
    this.pki.onChange((next) => {
      server.setSecureContext(tlsOf(next))
      void announce()
    })
    await announce()
    const repeating = setInterval(() => void announce(), pkiCheckMs)
    this.parts.add('webhook', {
      async stop() {
        clearInterval(repeating)
        const closed = new Promise<void>((resolve) => {
          server.close(() => resolve())
        })
        server.closeIdleConnections()
        setTimeout(() => server.closeAllConnections(), stopGraceMs).unref()
        await closed
      },
    })
  }

  private webhookHandler(): ReturnType<typeof createWebhook> {
    const { kube, options, modules, injections } = this
    const { image, imagePullPolicy, streamUrl } = options
    const sidecar = { image, streamUrl, ...(imagePullPolicy && { imagePullPolicy }) }
    const reviewModules = {
      findProxy: (key: ProxyKey) => kube.proxies.find(key, admissionLookupMs),
      publishEvent: kube.events.publishFor.bind(kube.events),
      onOutcome: (outcome: string) => {
        injections.set(outcome, (injections.get(outcome) ?? 0) + 1)
      },
      log: modules.log,
    }
    return createWebhook({
      review: (request) => review(request, sidecar, reviewModules),
      log: modules.log,
    })
  }

  /** Never rejects: it is repeated. */
  private async announce(webhookConfig: string): Promise<void> {
    const { current } = this.pki
    const { log } = this.modules
    if (current === undefined) return
    try {
      const isChanged = await announceAuthority(webhookConfig, bundleOf(current), this.kube.client)
      if (isChanged) log.info({ webhookConfig }, 'webhook configuration trusts our certificates')
    } catch (err) {
      log.warn({ err, webhookConfig }, 'webhook configuration could not be made to trust us')
    }
  }

  private async renderMetrics() {
    return renderMetrics(operatorMetrics, await this.figures())
  }

  private async figures(): Promise<OperatorFigures> {
    const { kube, publisher } = this
    return {
      process: await measureProcess(),
      isLeader: kube.elector.isLeader(),
      isSynced: kube.isSynced,
      injections: this.injections,
      watchRestarts: kube.watchRestarts,
      certificateExpiryMs: this.pki.expiryMs,
      proxies: kube.proxies.keys().flatMap((key) => {
        const proxy = kube.proxies.get(key)
        if (proxy === undefined) return []
        const { namespace, name } = proxy.metadata
        const epoch = proxy.status?.epoch ?? 0
        const ready = proxy.status?.conditions?.find(({ type }) => type === 'Ready')
        const sidecars = publisher?.sidecars(key) ?? []
        return [
          {
            namespace,
            name,
            isReady: ready?.status === 'True',
            epoch,
            sidecarsConnected: sidecars.length,
            sidecarsCurrent: sidecars.filter(({ acked }) => acked?.epoch === epoch).length,
          },
        ]
      }),
    }
  }
}

/** Admission reviews under way are answered before connections are cut. */
const stopGraceMs = 2000

function tlsOf({ serving }: PkiMaterial): SecureContextOptions {
  return { cert: serving.cert, key: serving.key }
}

async function listen(
  server: ReturnType<typeof createHttpsServer>,
  address: HostPort,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const where = `${address.host}:${address.port}`
      reject(
        new SystemError('RM_LISTEN_FAILED', `the injector cannot listen on ${where}`, { cause }),
      )
    })
    server.listen(address.port, address.host, resolve)
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
