/** The parts of the client that are used; its main module also loads a push gateway, clusters and quantiles. */
declare module '@prometheus-io/client/lib/registry.js' {
  import { Registry } from '@prometheus-io/client'
  export = Registry
}
declare module '@prometheus-io/client/lib/counter.js' {
  import { Counter } from '@prometheus-io/client'
  export = Counter
}
declare module '@prometheus-io/client/lib/gauge.js' {
  import { Gauge } from '@prometheus-io/client'
  export = Gauge
}
