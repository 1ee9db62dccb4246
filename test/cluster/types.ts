/** What a test gets: a Kubernetes cluster, wherever it comes from. */
import type { Output, RunOptions } from './command.ts'
import type { ImageOptions } from './image.ts'
import type { Report } from './toolchain.ts'

export type Network = {
  readonly cidr: string
  readonly podCidr: string
  readonly serviceCidr: string
  /** First address of `serviceCidr`: the Service `kubernetes` of the API server. */
  readonly apiServiceIp: string
  /** Address of the bridge: node, API server and DNS listen here; pods' default gateway. */
  readonly nodeIp: string
  /** The host as pods see it: what a test listens on to be reached from a pod. */
  readonly hostIp: string
  readonly linkIp: string
}

export type ClusterKind = 'lab' | 'kind' | 'kubeconfig'

export type Cluster = {
  readonly kind: ClusterKind
  /** Stands on its own: certificates are inside. */
  readonly kubeconfigPath: string
  readonly kubectlPath: string
  readonly helmPath: string
  /** Logs of the components and, below `pods/`, of pods. Absent where they are not ours to read. */
  readonly logsPath: string | undefined
  /**
   * Addresses of the lab, where the host reaches pods and cluster addresses of Services, and pods
   * reach the host at `hostIp`. Absent elsewhere: use `kubectl port-forward` or `exec` there.
   */
  readonly network: Network | undefined
  kubectl(args: readonly string[], options?: CallOptions): Promise<Output>
  helm(args: readonly string[], options?: CallOptions): Promise<Output>
  /** Makes an image usable by pods with `imagePullPolicy: IfNotPresent` or `Never`. */
  loadImage(image: ImageOptions): Promise<void>
  /** The same for an archive as `docker save` or `podman save` write it. */
  loadArchive(archivePath: string): Promise<void>
  /** Ends the cluster if this process started it, and leaves nothing behind. Fine to call twice. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export type CallOptions = Pick<RunOptions, 'input' | 'timeoutMs'>

export type StartOptions = {
  /** Takes this kind, or fails. Else: KUBECONFIG, then kind with Docker, then the lab. */
  readonly kind?: ClusterKind
  readonly report?: Report
  /** The lab's logs go here and stay; else they go when the cluster stops. */
  readonly logsPath?: string
  /** The lab outlives this process and is ended by `main.ts down`. */
  readonly isDetached?: boolean
  /** How long the lab's DNS remembers an answer, that there is no such name included; 30 is what clusters have. */
  readonly dnsCacheSeconds?: number
  /** Ends a start that is under way. */
  readonly signal?: AbortSignal
}
