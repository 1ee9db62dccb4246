/** Everything that knows the Kubernetes API. */
export { pause } from './backoff.ts'
export type { KubeClient } from './client.ts'
export { loadKubeConfig } from './connection.ts'
export { createPkiSecret } from './pki-secret.ts'
export { Kube, type KubeModules, type KubeOptions } from './provider.ts'
export type { RestartReason } from './reflector.ts'
export { announceAuthority } from './webhook-config.ts'
