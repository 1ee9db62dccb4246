/**
 * Metrics: a door in front of the Prometheus client. Metrics are declared as a catalogue of names, help texts and
 * ways to read a number; they are read when someone scrapes, so that counting costs nothing more than the plain
 * numbers that the parts keep anyway. The client is loaded with the first scrape.
 */
export interface MetricDefinition<S> {
  /** With the prefix `respmesh_` and the unit; a counter ends in `_total`. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly labels?: readonly string[]
  /** The value, or one for each set of labels; undefined: nothing to show at present. */
  readonly read: (source: S) => number | readonly Sample[] | undefined
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/**
 * The text of the exposition format, with the values of now. Metrics are made anew for each scrape: that is
 * cheap, and one that has nothing to show is left out instead of shown as 0.
 */
export async function renderMetrics<S>(
  catalogue: readonly MetricDefinition<S>[],
  source: S,
): Promise<{ readonly contentType: string; readonly text: string }> {
  const [{ default: Registry }, { default: Counter }, { default: Gauge }] = await Promise.all([
    import('@prometheus-io/client/lib/registry.js'),
    import('@prometheus-io/client/lib/counter.js'),
    import('@prometheus-io/client/lib/gauge.js'),
  ])
  const registry = new Registry()
  for (const definition of catalogue) {
    const value = definition.read(source)
    if (value === undefined) continue
    const options = {
      name: definition.name,
      help: definition.help,
      labelNames: [...(definition.labels ?? [])],
      registers: [registry],
    }
    const samples = typeof value === 'number' ? [{ labels: {}, value }] : value
    if (definition.type === 'counter') {
      const counter = new Counter(options)
      for (const sample of samples) counter.inc(sample.labels, sample.value)
    } else {
      const gauge = new Gauge(options)
      for (const sample of samples) gauge.set(sample.labels, sample.value)
    }
  }
  return { contentType: registry.contentType, text: await registry.metrics() }
}

/** What a process says of itself. */
export interface ProcessUse {
  readonly cpuSeconds: number
  readonly residentBytes: number
  readonly heapUsedBytes: number
  readonly startedAtSeconds: number
  /** How late the event loop is, measured just now. */
  readonly eventLoopLagSeconds: number
}

/** Takes one turn of the event loop. */
export async function measureProcess(): Promise<ProcessUse> {
  const before = performance.now()
  await new Promise<void>((resolve) => {
    setImmediate(resolve)
  })
  const lagMs = performance.now() - before
  const { user, system } = process.cpuUsage()
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    heapUsedBytes: process.memoryUsage().heapUsed,
    startedAtSeconds: performance.timeOrigin / 1000,
    eventLoopLagSeconds: lagMs / 1000,
  }
}

export const processMetrics: readonly MetricDefinition<{ readonly process: ProcessUse }>[] = [
  {
    name: 'respmesh_process_cpu_seconds_total',
    help: 'CPU time, user and system, that the process has used.',
    type: 'counter',
    read: (source) => source.process.cpuSeconds,
  },
  {
    name: 'respmesh_process_resident_memory_bytes',
    help: 'Resident memory of the process.',
    type: 'gauge',
    read: (source) => source.process.residentBytes,
  },
  {
    name: 'respmesh_process_heap_used_bytes',
    help: 'JavaScript heap in use.',
    type: 'gauge',
    read: (source) => source.process.heapUsedBytes,
  },
  {
    name: 'respmesh_process_start_time_seconds',
    help: 'When the process was started, in seconds since 1970.',
    type: 'gauge',
    read: (source) => source.process.startedAtSeconds,
  },
  {
    name: 'respmesh_event_loop_lag_seconds',
    help: 'How late the event loop was when the scrape was answered.',
    type: 'gauge',
    read: (source) => source.process.eventLoopLagSeconds,
  },
]
