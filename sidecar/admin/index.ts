export { type Health, type HealthInput, readiness, startup } from './health.ts'
export { type MetricSource, sidecarMetrics } from './metrics.ts'
export { AdminServer, type AdminSource } from './server.ts'
export type { Status } from './status.ts'
