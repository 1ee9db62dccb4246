/** The catalogue of the operator's metrics; `docs/reference/operator.md` lists the same, which a test compares. */
import {
  type MetricDefinition,
  type ProcessUse,
  type Sample,
  processMetrics,
} from '../common/metrics.ts'

export interface OperatorFigures {
  readonly process: ProcessUse
  readonly isLeader: boolean
  readonly isSynced: boolean
  readonly proxies: readonly {
    readonly namespace: string
    readonly name: string
    readonly isReady: boolean
    readonly epoch: number
    readonly sidecarsConnected: number
    readonly sidecarsCurrent: number
  }[]
  readonly injections: ReadonlyMap<string, number>
  readonly watchRestarts: ReadonlyMap<string, number>
  readonly certificateExpiryMs: number | undefined
}

type Figures = OperatorFigures
type Proxy = Figures['proxies'][number]

const perProxy = (read: (proxy: Proxy) => number) => (figures: Figures) =>
  figures.proxies.map((proxy): Sample => {
    const { namespace, name } = proxy
    return { labels: { namespace, name }, value: read(proxy) }
  })

const perKey = (label: string, counts: ReadonlyMap<string, number>): Sample[] =>
  [...counts].map(([key, value]) => ({ labels: { [label]: key }, value }))

const labels = ['namespace', 'name']

export const operatorMetrics: readonly MetricDefinition<Figures>[] = [
  {
    name: 'respmesh_operator_leader',
    help: '1 on the replica that acts.',
    type: 'gauge',
    read: ({ isLeader }) => Number(isLeader),
  },
  {
    name: 'respmesh_operator_synced',
    help: '1 once RedisProxies and pods were listed.',
    type: 'gauge',
    read: ({ isSynced }) => Number(isSynced),
  },
  {
    name: 'respmesh_operator_proxy_ready',
    help: 'Whether the RedisProxy has the condition Ready.',
    type: 'gauge',
    labels,
    read: perProxy(({ isReady }) => Number(isReady)),
  },
  {
    name: 'respmesh_operator_proxy_epoch',
    help: 'Epoch of the RedisProxy: it rises with every change of the primary.',
    type: 'gauge',
    labels,
    read: perProxy(({ epoch }) => epoch),
  },
  {
    name: 'respmesh_operator_sidecars_connected',
    help: 'Sidecars of the RedisProxy whose stream is open.',
    type: 'gauge',
    labels,
    read: perProxy(({ sidecarsConnected }) => sidecarsConnected),
  },
  {
    name: 'respmesh_operator_sidecars_current',
    help: 'Sidecars of the RedisProxy that acknowledged its epoch.',
    type: 'gauge',
    labels,
    read: perProxy(({ sidecarsCurrent }) => sidecarsCurrent),
  },
  {
    name: 'respmesh_operator_injections_total',
    help: 'Pods that the injector judged, by outcome.',
    type: 'counter',
    labels: ['outcome'],
    read: ({ injections }) => perKey('outcome', injections),
  },
  {
    name: 'respmesh_operator_watch_restarts_total',
    help: 'Watches of the Kubernetes API that were begun anew, by reason.',
    type: 'counter',
    labels: ['reason'],
    read: ({ watchRestarts }) => perKey('reason', watchRestarts),
  },
  {
    name: 'respmesh_operator_certificate_expiry_timestamp_seconds',
    help: 'When the serving certificate ends, in seconds since 1970.',
    type: 'gauge',
    read: ({ certificateExpiryMs }) =>
      certificateExpiryMs === undefined ? undefined : certificateExpiryMs / 1000,
  },
  ...processMetrics,
]
