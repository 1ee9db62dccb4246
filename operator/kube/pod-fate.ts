/**
 * Whether the process that has been a primary since some time is known to have ended, by what the kubelet says of its
 * container and by what became of its pod. Pure. Where it is not certain the answer is that nothing is known.
 */
import { nodeClockSkewMs, nodeSilenceMaxMs } from '../../common/limits.ts'
import type { ContainerStatus, KubeObject, PodCondition } from './objects.ts'

/** Of a pod, what tells how its server fares. */
export interface ServerPod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string
    readonly hostname?: string
    readonly subdomain?: string
    readonly terminationGracePeriodSeconds?: number
    readonly containers?: readonly {
      readonly name: string
      readonly ports?: readonly { readonly containerPort?: number }[]
    }[]
  }
  readonly status?: {
    readonly phase?: string
    readonly conditions?: readonly PodCondition[]
    readonly containerStatuses?: readonly ContainerStatus[]
  }
}

export interface NodeObject extends KubeObject {
  readonly spec?: { readonly taints?: readonly { readonly key: string }[] }
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string
      readonly status: string
      readonly lastTransitionTime?: string
    }[]
  }
}

/** A node as it was when it was asked for, by the wall clock. */
export interface SeenNode extends NodeObject {
  readonly seenMs: number
}

/** A pod as it was last seen, and when it was seen to be gone. */
export interface PodRecord {
  readonly pod: ServerPod
  readonly removed?: { readonly wallMs: number }
}

export interface Question {
  readonly port: number
  /** Wall clock: since when the process is the primary; it lived then. */
  readonly sinceMs: number
}

/** Set by people, or by what they run, when a machine is down for certain; Kubernetes gives up its pods and volumes then. */
export const outOfServiceTaint = 'node.kubernetes.io/out-of-service'

/**
 * Why the process ended, or undefined. `pods` are those of its name that are remembered: the process was in one of them,
 * so each that may have been it must have ended.
 */
export function fateOf(
  pods: readonly PodRecord[],
  question: Question,
  nodeOf: (name: string) => SeenNode | undefined,
): string | undefined {
  const possible = pods.filter(({ pod }) => createdMs(pod) <= question.sinceMs + nodeClockSkewMs)
  // One that is not remembered may have been it.
  const reachesBack = possible.some(
    ({ pod }) => createdMs(pod) <= question.sinceMs - nodeClockSkewMs,
  )
  if (!reachesBack) return undefined
  const ends = possible.map((record) => endOf(record, question, nodeOf))
  return ends.includes(undefined) ? undefined : ends.at(-1)
}

/** Whether it would help to know how the node is. */
export function needsNode({ pod, removed }: PodRecord): boolean {
  const isReady = pod.status?.conditions?.some(
    ({ type, status }) => type === 'Ready' && status === 'True',
  )
  return removed !== undefined || pod.metadata.deletionTimestamp !== undefined || isReady !== true
}

function endOf(
  record: PodRecord,
  question: Question,
  nodeOf: (name: string) => SeenNode | undefined,
): string | undefined {
  const { pod } = record
  const containers = serverContainers(pod, question.port)
  const said = hasEndedForGood(pod)
    ? containers.map((each) => endedAt(each.state?.terminated, each, pod))
    : containers.map((each) => restarted(each, pod, question))
  const isSaid = said.length > 0 && !said.includes(undefined)
  return isSaid ? said[0] : endByNode(record, nodeOf)
}

/** Those with the port of the server; where none names it, all: one of them is it. */
function serverContainers(pod: ServerPod, port: number): readonly ContainerStatus[] {
  const statuses = pod.status?.containerStatuses ?? []
  const containers = pod.spec?.containers ?? []
  const named = containers.filter(({ ports }) =>
    ports?.some(({ containerPort }) => containerPort === port),
  )
  const wanted = named.length > 0 ? named : containers
  const found = wanted.map(({ name }) => statuses.find((status) => status.name === name))
  return found.every((status) => status !== undefined) ? found : []
}

/**
 * The kubelet gives a pod its last phase when all of its containers have ended, and starts none after it. A collector of
 * orphaned pods gives it too, without knowing anything of containers.
 */
export function hasEndedForGood({ status }: Pick<ServerPod, 'status'>): boolean {
  const isOver = status?.phase === 'Failed' || status?.phase === 'Succeeded'
  const isCollected = status?.conditions?.some(
    ({ type, reason }) => type === 'DisruptionTarget' && reason === 'DeletionByPodGC',
  )
  return isOver && isCollected !== true
}

/** Whether the container that ran at the time in question has ended: one of that pod ended, or began, after it. */
function restarted(
  container: ContainerStatus,
  pod: ServerPod,
  { sinceMs }: Question,
): string | undefined {
  const { state, lastState, name } = container
  const isLater = (time: string | undefined) => timeMs(time) >= sinceMs + nodeClockSkewMs
  for (const terminated of [state?.terminated, lastState?.terminated]) {
    if (isLater(terminated?.finishedAt)) return endedAt(terminated, container, pod)
  }
  if (!isLater(state?.running?.startedAt)) return undefined
  return `container ${name} of pod ${pod.metadata.name} was started again at ${state?.running?.startedAt}`
}

/** Without a time the kubelet only lost sight of it. */
function endedAt(
  terminated: NonNullable<ContainerStatus['state']>['terminated'],
  { name }: ContainerStatus,
  pod: ServerPod,
): string | undefined {
  if (terminated === undefined || Number.isNaN(timeMs(terminated.finishedAt))) return undefined
  const { finishedAt, exitCode } = terminated
  const how = exitCode === undefined ? '' : ` (exit code ${exitCode})`
  return `container ${name} of pod ${pod.metadata.name} ended at ${finishedAt}${how}`
}

/**
 * A pod that is merely gone from the API may run on: the kubelet hears of it later, asks its processes first, and on a
 * lost node never does either.
 */
function endByNode(
  { pod, removed }: PodRecord,
  nodeOf: (name: string) => SeenNode | undefined,
): string | undefined {
  const name = pod.spec?.nodeName
  const node = name === undefined ? undefined : nodeOf(name)
  if (node === undefined) return undefined
  if (node.spec?.taints?.some(({ key }) => key === outOfServiceTaint)) {
    return `node ${name} of pod ${pod.metadata.name} is out of service, as its taint says`
  }
  if (removed === undefined) return undefined
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')
  const readySinceMs = timeMs(ready?.lastTransitionTime)
  const graceMs = (pod.spec?.terminationGracePeriodSeconds ?? defaultGraceSeconds) * 1000
  const goneMs = node.seenMs - removed.wallMs
  const isOld = goneMs >= nodeSilenceMaxMs + graceMs + nodeClockSkewMs
  const wasReady =
    ready?.status === 'True' && readySinceMs <= removed.wallMs - nodeClockSkewMs && isOld
  if (!wasReady) return undefined
  const at = new Date(removed.wallMs).toISOString()
  return `pod ${pod.metadata.name} was deleted at ${at} and its node ${name} has been ready ever since`
}

/** As Kubernetes has it where a pod does not say. */
export const defaultGraceSeconds = 30

function createdMs({ metadata }: ServerPod): number {
  return timeMs(metadata.creationTimestamp)
}

/** NaN, which no comparison holds for, where there is none. */
function timeMs(time: string | undefined): number {
  return time === undefined ? Number.NaN : Date.parse(time)
}
