/**
 * The configuration files of the components, as values. What is unusual in them is what lets them
 * run without cgroup v2, without a registry, and as a root that lacks CAP_SYS_RESOURCE.
 */
import { nodeName } from './certificates.ts'
import type { Network } from './types.ts'

export const containerdSocket = '/run/containerd/containerd.sock'
export const pauseImage = 'docker.io/respmesh/pause:lab'

export type Layout = {
  readonly network: Network
  readonly etcPath: string
  readonly pkiPath: string
  readonly cgroup: string
  readonly dnsCacheSeconds?: number
}

/** Without a real disk (in a container) a kubelet cannot tell how full it is, and must not try. */
export function kubeletConfig(layout: Layout, hasRealDisk: boolean): object {
  const { network, etcPath, pkiPath, cgroup } = layout
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: network.nodeIp,
    healthzBindAddress: '127.0.0.1',
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true, cacheTTL: '10s' },
      x509: { clientCAFile: `${pkiPath}/ca.crt` },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: `${pkiPath}/kubelet-server.crt`,
    tlsPrivateKeyFile: `${pkiPath}/kubelet-server.key`,
    clusterDNS: [network.nodeIp],
    clusterDomain: 'cluster.local',
    resolvConf: `${etcPath}/resolv.conf`,
    // Its own cgroup: a kubelet kills what it does not know below its root.
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    enforceNodeAllocatable: [],
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: hasRealDisk,
    // Lowering an OOM score needs CAP_SYS_RESOURCE.
    oomScoreAdj: 0,
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '1%',
      'nodefs.inodesFree': '1%',
      'imagefs.available': '1%',
    },
    // There is no registry to fetch a removed image from again.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    // Changed ConfigMaps and Secrets reach pods by watches plus this period.
    syncFrequency: '10s',
    nodeStatusUpdateFrequency: '5s',
    shutdownGracePeriod: '0s',
    registerWithTaints: [],
    maxPods: 200,
  }
}

export function kubeProxyConfig({ network, etcPath }: Layout): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    bindAddress: network.nodeIp,
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    hostnameOverride: nodeName,
    clientConnection: { kubeconfig: `${etcPath}/proxy.kubeconfig` },
    clusterCIDR: network.podCidr,
    detectLocalMode: 'ClusterCIDR',
    oomScoreAdj: 0,
    // Only the first network namespace of a machine may change these.
    conntrack: { maxPerCore: 0, min: 0 },
  }
}

/** The image which holds a pod's namespaces must be given by name; containerd would pull another. */
export function containerdConfig(snapshotter: string, cniBinPath: string, etcPath: string): string {
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "${containerdSocket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Without this every sandbox dies where runc may not lower its OOM score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniBinPath}"
    conf_dir = "${etcPath}/cni"
`
}

export function cniConfig(network: Network): object {
  return {
    cniVersion: '0.4.0',
    name: 'lab',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        // Pods reach the host under their own addresses: it has a route back.
        ipMasq: false,
        // A pod may reach itself through its Service.
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: network.podCidr, gateway: network.nodeIp }]],
          routes: [{ dst: '0.0.0.0/0' }],
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }
}

/** Unless told, no cache and a TTL of one second: a test that moves a Service must not wait for DNS. */
export function corefile({ network, etcPath, dnsCacheSeconds }: Layout): string {
  const cache = dnsCacheSeconds === undefined ? '' : `\n  cache ${dnsCacheSeconds}`
  return `cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
  bind ${network.nodeIp}
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${etcPath}/coredns.kubeconfig lab
    ttl ${dnsCacheSeconds ?? 1}
  }${cache}
  ready 127.0.0.1:8181
}
.:53 {
  bind ${network.nodeIp}
  errors
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`
}

/** What the API server must hold before pods run: CoreDNS's rights and a default StorageClass. */
export function bootstrapObjects(): object {
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name: 'system:coredns' },
        rules: [
          {
            apiGroups: [''],
            resources: ['services', 'pods', 'namespaces', 'endpoints'],
            verbs: ['list', 'watch'],
          },
          {
            apiGroups: ['discovery.k8s.io'],
            resources: ['endpointslices'],
            verbs: ['list', 'watch'],
          },
        ],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: { name: 'system:coredns' },
        roleRef: {
          apiGroup: 'rbac.authorization.k8s.io',
          kind: 'ClusterRole',
          name: 'system:coredns',
        },
        subjects: [{ kind: 'User', name: 'system:coredns', apiGroup: 'rbac.authorization.k8s.io' }],
      },
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'StorageClass',
        metadata: {
          name: 'standard',
          annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
        },
        provisioner: 'kubernetes.io/host-path',
        reclaimPolicy: 'Delete',
      },
    ],
  }
}
