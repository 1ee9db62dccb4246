/** One benchmark: server and targets up, warm-up, rounds, memory, everything down. */
import { setTimeout as delay } from 'node:timers/promises'
import { type Backend, startBackend } from './backends.ts'
import { parseBenchmarkCsv } from './benchmark-csv.ts'
import { type ManyKeys, measureManyKeys } from './cluster-client.ts'
import {
  type BackendName,
  clientCount,
  type Endpoint,
  keyCount,
  manyKeys,
  type Load,
  type Memory,
  type Sample,
  type Section,
  type SidecarMemory,
  type Stage,
  valueBytes,
} from './model.ts'
import type { Options } from './options.ts'
import { type Figures, figuresOf } from './figures.ts'
import { makeBundle } from './machine.ts'
import { cpuOfAll, type CpuUse, heaviest, residentBytes } from './process-figures.ts'
import { flags, Processes, type Running } from './processes.ts'
import type { Progress } from './progress.ts'
import { freePort, waitForPong } from './resp-client.ts'
import { rotate, roundUp } from './statistics.ts'
import { measureSidecarMemory } from './sidecar-memory.ts'
import { stagesOf } from './stages.ts'
import { type Proxy, type Site, targetsOf } from './targets.ts'

const randomKeys = Array.from({ length: manyKeys }, () => 'key:__rand_int__')
const startPatienceMs = 20_000
/** From the last start to the first look at memory. */
const settleMs = 2000
const warmUpRequests: Readonly<Record<number, number>> = { 1: 20_000, 16: 200_000 }

export interface Plan {
  readonly options: Options
  readonly serverProgram: string
  readonly benchmarkProgram: string
  /** Those chosen and found; `direct` targets are not among them. */
  readonly proxies: readonly { readonly proxy: Proxy; readonly program: string }[]
  readonly cores: number
  readonly signal: AbortSignal
  readonly progress: Progress
}

export interface Outcome {
  readonly targets: readonly string[]
  readonly requests: Readonly<Record<string, number>>
  readonly samples: readonly Sample[]
  readonly memory: readonly Memory[]
  readonly sidecarMemory?: SidecarMemory
  readonly manyKeys?: ManyKeys
  /** Other processes that used the CPU meanwhile, the heaviest first. */
  readonly others: readonly CpuUse[]
  /** Targets that were there and did not work, with the reason. */
  readonly failures: readonly { readonly target: string; readonly reason: string }[]
}

interface Target {
  readonly name: string
  readonly backend: Backend
  readonly endpoint: Endpoint
  readonly running?: Running
}

/** Nothing could be measured, for a reason outside this program. */
export class BenchError extends Error {}

/** @throws BenchError when the server does not work; the signal’s reason on abort. A target that fails is an entry. */
export async function runBenchmark(plan: Plan): Promise<Outcome> {
  const processes = new Processes()
  try {
    const bench = new Bench(plan, processes)
    return await bench.run()
  } finally {
    await processes.end()
  }
}

class Bench {
  private readonly plan: Plan
  private readonly processes: Processes
  private readonly samples: Sample[] = []
  private readonly failures: { target: string; reason: string }[] = []
  private targets: Target[] = []
  private bundle = ''
  /** Loads that were run through all their targets. */
  private turn = 0
  private readonly backends = new Map<BackendName, Backend>()

  constructor(plan: Plan, processes: Processes) {
    this.plan = plan
    this.processes = processes
  }

  async run(): Promise<Outcome> {
    const before = cpuOfAll()
    await this.startAll()
    await delay(settleMs, undefined, { signal: this.plan.signal })
    const atRest = this.resident()
    const stages = stagesOf(this.plan.options)
    const requests = await this.warmUp(stages)
    const total = this.plan.options.roundCount * requests.size
    for (const stage of stages) await this.measure(stage, requests, total)
    const after = this.resident()
    const manyKeys = await this.manyKeys()
    const sidecarMemory = await this.sidecarMemory()
    return {
      targets: this.targets.map((target) => target.name),
      requests: Object.fromEntries([...requests].map(([load, count]) => [load.name, count])),
      samples: this.samples,
      memory: [...after].flatMap(([target, { now, peak }]) => {
        const rest = atRest.get(target)
        if (rest === undefined) return []
        return { target, atRestBytes: rest.now, afterLoadBytes: now, peakBytes: peak }
      }),
      ...(sidecarMemory && { sidecarMemory }),
      ...(manyKeys && { manyKeys }),
      others: heaviest(before, cpuOfAll(), (id) => this.processes.owns(id)),
      failures: this.failures,
    }
  }

  private async sidecarMemory(): Promise<SidecarMemory | undefined> {
    if (!this.plan.options.sections.includes('memory')) return undefined
    const { processes, plan } = this
    return await this.attempt('memory of a sidecar', async () =>
      measureSidecarMemory({
        processes,
        site: await this.site(this.backendOf('single')),
        newSite: () => this.site(this.backendOf('single')),
        isQuick: plan.options.isQuick,
        progress: plan.progress,
        signal: plan.signal,
      }),
    )
  }

  private async startAll(): Promise<void> {
    const { plan, processes } = this
    plan.progress.say('bundling')
    this.bundle = makeBundle(`${processes.directory}/bundle`)
    const wanted = new Set<BackendName>(['single'])
    for (const { proxy } of plan.proxies) wanted.add(proxy.backend ?? 'single')
    for (const name of wanted) {
      plan.progress.say(`starting ${name}: ${plan.serverProgram}`)
      this.backends.set(name, await this.startBackend(name))
    }
    const single = this.backendOf('single')
    const [server] = single.servers
    if (server === undefined) throw new Error('a backend has servers')
    const direct: Target[] = [
      { name: 'direct', backend: single, endpoint: server.endpoint },
      {
        name: 'direct-unix',
        backend: single,
        endpoint: { kind: 'unix', path: single.socketPath },
      },
    ]
    this.targets.push(...direct.filter(({ name }) => this.isWanted(name)))
    for (const { proxy, program } of plan.proxies) {
      await this.attempt(proxy.name, () => this.startProxy(proxy, program))
    }
    const known = plan.options.targets
    this.targets.sort((a, b) => known.indexOf(a.name) - known.indexOf(b.name))
  }

  private startBackend(name: BackendName): Promise<Backend> {
    const { plan, processes } = this
    return startBackend(name, {
      program: plan.serverProgram,
      processes,
      signal: plan.signal,
      ready: (running, endpoint) => this.ready(running, endpoint),
    })
  }

  private backendOf(name: BackendName): Backend {
    const backend = this.backends.get(name)
    if (backend === undefined) throw new Error(`${name} is started first`)
    return backend
  }

  private async manyKeys(): Promise<ManyKeys | undefined> {
    const target = this.targets.find(({ name }) => name === 'respmesh-cluster3')
    if (target?.endpoint.kind !== 'tcp') return undefined
    const { port } = target.endpoint
    const nodePorts = target.backend.servers.map(({ endpoint }) => endpoint.port)
    const { progress, options, signal } = this.plan
    progress.say(`MGET of ${manyKeys} keys beside a client that knows the cluster`)
    const of = { port, nodePorts, isQuick: options.isQuick, rounds: options.roundCount, signal }
    return await this.attempt('cluster client', () => measureManyKeys(of))
  }

  private isWanted(name: string): boolean {
    const { sections, targets } = this.plan.options
    return (
      targets.includes(name) &&
      sections.some((section: Section) => targetsOf(section).includes(name))
    )
  }

  private async site(backend: Backend): Promise<Site> {
    const [listenPort, adminPort] = [await freePort(), await freePort()]
    const { bundle } = this
    const serverPorts = backend.servers.map(({ endpoint }) => endpoint.port)
    const serverPort = serverPorts[0] ?? 0
    const { directory } = this.processes
    return { directory, bundle, serverPort, serverPorts, listenPort, adminPort }
  }

  private async startProxy(proxy: Proxy, program: string): Promise<void> {
    const backend = this.backendOf(proxy.backend ?? 'single')
    const { args, endpoint, env } = proxy.launch(await this.site(backend))
    const at = endpoint.kind === 'tcp' ? `127.0.0.1:${endpoint.port}` : endpoint.path
    this.plan.progress.say(`starting ${proxy.name} on ${at}`)
    const running = this.processes.start(proxy.name, program, args, env)
    await this.ready(running, endpoint)
    this.targets.push({ name: proxy.name, backend, endpoint, running })
  }

  private async ready(running: Running, endpoint: Endpoint): Promise<void> {
    try {
      const hasEnded = () => running.hasEnded()
      const { signal } = this.plan
      await waitForPong(endpoint, { patienceMs: startPatienceMs, hasEnded, signal })
    } catch (cause) {
      this.plan.signal.throwIfAborted()
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new BenchError(`${running.name} did not start: ${reason}\n${running.logTail()}`, {
        cause,
      })
    }
  }

  /** A target that fails leaves the benchmark; the others go on. An abort or the server’s end ends it. */
  private async attempt<T>(name: string, act: () => Promise<T>): Promise<T | undefined> {
    try {
      return await act()
    } catch (cause) {
      this.plan.signal.throwIfAborted()
      const reason = cause instanceof Error ? cause.message : String(cause)
      const ended = [...this.backends.values()]
        .flatMap(({ servers }) => servers)
        .find(({ running }) => running.hasEnded())
      if (ended !== undefined) {
        throw new BenchError(`a server ended: ${reason}\n${ended.running.logTail()}`, { cause })
      }
      const log = this.targets.find((target) => target.name === name)?.running?.logTail()
      const told = log === undefined || log === '' ? reason : `${reason}\n${log}`
      this.failures.push({ target: name, reason: told })
      this.targets = this.targets.filter((target) => target.name !== name)
      this.plan.progress.say(`${name} FAILED and is left out: ${told}`)
      return undefined
    }
  }

  /** Fills the keys, gives every target a taste of every load, and finds the request counts. */
  private async warmUp(stages: readonly Stage[]): Promise<ReadonlyMap<Load, number>> {
    const { plan } = this
    plan.progress.say(`filling ${keyCount} keys and warming up`)
    const fill: Load = { name: 'fill', command: 'SET', pipeline: 16, clients: clientCount }
    for (const backend of this.backends.values()) {
      // A cluster is filled through the first proxy that knows it.
      const through = this.targets.find((target) => target.backend === backend)
      const endpoint = through?.endpoint ?? backend.servers[0]?.endpoint
      // Keys are drawn at random: twenty draws for each leave one in 500 million out.
      if (endpoint) await this.benchmark(endpoint, fill, 20 * keyCount)
    }
    const counts = new Map<Load, number>()
    for (const stage of stages) {
      for (const load of stage.loads) counts.set(load, await this.warmUpLoad(stage, load))
    }
    return counts
  }

  /** A taste of `load` for every target; gives how many requests take the fastest as long as wanted. */
  private async warmUpLoad(stage: Stage, load: Load): Promise<number> {
    const { options } = this.plan
    const given = options.requests?.get(load.pipeline)
    const requests = warmUpRequests[load.pipeline] ?? keyCount
    let fastest = 0
    for (const target of this.targets.filter(({ name }) => stage.targets.includes(name))) {
      const row = await this.attempt(target.name, () =>
        this.benchmark(target.endpoint, load, Math.min(requests, given ?? requests)),
      )
      fastest = Math.max(fastest, row?.requestsPerSecond ?? 0)
    }
    if (fastest === 0) throw new BenchError('no target works')
    return given ?? roundUp(fastest * options.loadSeconds)
  }

  private async measure(
    stage: Stage,
    requests: ReadonlyMap<Load, number>,
    total: number,
  ): Promise<void> {
    const { options, progress } = this.plan
    const { roundCount } = options
    for (let round = 1; round <= roundCount; round += 1) {
      for (const load of stage.loads) {
        const count = requests.get(load) ?? 0
        const { turn } = this
        progress.begin(`${stage.name} round ${round}/${roundCount} ${load.name}`, turn, total)
        const targets = this.targets.filter(({ name }) => stage.targets.includes(name))
        for (const target of rotate(targets, turn)) {
          const sample = await this.attempt(target.name, () =>
            this.sample(target, load, { round, requests: count }),
          )
          if (sample === undefined) continue
          this.samples.push(sample)
          progress.figure(target.name, sample.requestsPerSecond)
        }
        progress.end()
        this.turn += 1
      }
    }
  }

  private async sample(
    target: Target,
    load: Load,
    run: { round: number; requests: number },
  ): Promise<Sample> {
    const { round, requests } = run
    const before = await figuresOf(target)
    const row = await this.benchmark(target.endpoint, load, requests)
    const after = await figuresOf(target)
    const spent = (pick: (figures: Figures) => number) => pick(after) - pick(before)
    const answered = spent((figures) => figures.commands)
    if (answered < requests) {
      throw new Error(`${load.name}: only ${answered} of ${requests} requests came to the server`)
    }
    if (load.command === 'GET' && spent((figures) => figures.misses) > requests / 1000) {
      throw new Error(`${load.name}: keys that exist were not found`)
    }
    const perRequestUs = (seconds: number) => (seconds * 1e6) / requests
    const ours = spent((figures) => figures.server + figures.proxy + figures.client + figures.self)
    const available = spent((figures) => figures.atSeconds) * this.plan.cores
    return {
      round,
      target: target.name,
      load: load.name,
      requests,
      requestsPerSecond: row.requestsPerSecond,
      p50Ms: row.p50Ms,
      p99Ms: row.p99Ms,
      ...(target.running && { proxyCpuUs: perRequestUs(spent((figures) => figures.proxy)) }),
      serverCpuUs: perRequestUs(spent((figures) => figures.server)),
      clientCpuUs: perRequestUs(spent((figures) => figures.client)),
      foreignCpuShare: Math.max(0, spent((figures) => figures.machine) - ours) / available,
    }
  }

  private async benchmark(endpoint: Endpoint, load: Load, requests: number) {
    const { benchmarkProgram, signal } = this.plan
    const to =
      endpoint.kind === 'unix'
        ? { '-s': endpoint.path }
        : { '-h': '127.0.0.1', '-p': endpoint.port }
    const args = flags({
      ...to,
      ...(load.command !== 'MGET' && { '-t': load.command.toLowerCase() }),
      '-n': requests,
      '-P': load.pipeline,
      '-c': load.clients,
      '-d': valueBytes,
      '-r': keyCount,
    })
    const words = load.command === 'MGET' ? ['MGET', ...randomKeys] : []
    const output = await this.processes.run(benchmarkProgram, [...args, '--csv', ...words], signal)
    const row = parseBenchmarkCsv(output).find((row) => row.test.startsWith(load.command))
    if (row === undefined) throw new Error(`redis-benchmark gave no row for ${load.command}`)
    return row
  }

  private resident() {
    return new Map(
      this.targets.flatMap(({ name, running }) =>
        running === undefined ? [] : [[name, residentBytes(running.pid)] as const],
      ),
    )
  }
}
