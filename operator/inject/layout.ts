/**
 * What an injected pod looks like to both sides: names, paths and annotations that the injector writes and the
 * operator reads. Changing one changes pods that are made from then on; the operator must still read the old.
 */
import { socketName } from '../api/proxy-schema.ts'

export const sidecarName = 'respmesh'
/** Label that the injector leaves, so that the operator can watch just these pods: the RedisProxy's name. */
export const proxyLabel = 'respmesh.io/proxy'

export const runPath = '/var/run/respmesh'
export const tokenFile = `${runPath}/token/token`
export const controlPath = `${runPath}/control`
export const caFile = `${controlPath}/ca.crt`
export const bootstrapFile = `${controlPath}/proxy-config.json`
export const statePath = `${runPath}/state`
/** The sidecar’s own place of the volume that the app’s containers see at `spec.proxy.unixSocket.directory`. */
export const socketPath = `${runPath}/socket`
export const socketFile = `${socketPath}/${socketName}`
export const secretsRoot = `${runPath}/secrets`

/** Keys of the per-proxy ConfigMap. */
export const caKey = 'ca.crt'
export const bootstrapKey = 'proxy-config.json'

export const secretFile = (secretName: string, dataKey: string): string =>
  `${secretsRoot}/${secretName}/${dataKey}`

/** The ConfigMap that sidecars of a RedisProxy start from. */
export const bootstrapConfigMap = (proxyName: string): string => `respmesh-${proxyName}`

/** What the annotation `respmesh.io/injected` tells. */
export interface Injected {
  /** Name of the RedisProxy, in the pod's namespace. */
  readonly proxy: string
  readonly image: string
  readonly container: string
}

export function writeInjected(injected: Injected): string {
  const { proxy, image, container } = injected
  return JSON.stringify({ proxy, image, container })
}

/** Undefined if the annotation is absent or not one of ours. */
export function readInjected(text: string | undefined): Injected | undefined {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || !('proxy' in value)) return undefined
    return typeof value.proxy === 'string' ? (value as Injected) : undefined
  } catch {
    // Written by hand.
    return undefined
  }
}
