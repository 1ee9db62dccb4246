/** The command lines of the components, in the order in which they start. */
import { nodeName } from './certificates.ts'
import type { Layout } from './configs.ts'

export type Service = {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
}

export const etcdUrl = 'http://127.0.0.1:2379'

export function etcdArgs(): readonly string[] {
  const peerUrl = 'http://127.0.0.1:2380'
  return [
    '--name=lab',
    '--data-dir=/var/lib/etcd',
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=lab=${peerUrl}`,
    // The data lives as long as the run; a disk that syncs slowly must not slow the tests.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]
}

export function apiServerArgs({ network, pkiPath }: Layout): readonly string[] {
  const issuer = 'https://kubernetes.default.svc.cluster.local'
  return [
    `--etcd-servers=${etcdUrl}`,
    `--bind-address=${network.nodeIp}`,
    `--advertise-address=${network.nodeIp}`,
    '--secure-port=6443',
    `--service-cluster-ip-range=${network.serviceCidr}`,
    `--client-ca-file=${pkiPath}/ca.crt`,
    `--tls-cert-file=${pkiPath}/apiserver.crt`,
    `--tls-private-key-file=${pkiPath}/apiserver.key`,
    `--kubelet-certificate-authority=${pkiPath}/ca.crt`,
    `--kubelet-client-certificate=${pkiPath}/apiserver-kubelet-client.crt`,
    `--kubelet-client-key=${pkiPath}/apiserver-kubelet-client.key`,
    // The node's name resolves nowhere.
    '--kubelet-preferred-address-types=InternalIP',
    `--service-account-issuer=${issuer}`,
    `--service-account-key-file=${pkiPath}/service-account.pub`,
    `--service-account-signing-key-file=${pkiPath}/service-account.key`,
    `--requestheader-client-ca-file=${pkiPath}/ca.crt`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pkiPath}/front-proxy-client.crt`,
    `--proxy-client-key-file=${pkiPath}/front-proxy-client.key`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    '--profiling=false',
  ]
}

export function controllerManagerArgs({ network, etcPath, pkiPath }: Layout): readonly string[] {
  return [
    `--kubeconfig=${etcPath}/controller-manager.kubeconfig`,
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
    `--cluster-cidr=${network.podCidr}`,
    `--service-cluster-ip-range=${network.serviceCidr}`,
    '--allocate-node-cidrs=false',
    `--root-ca-file=${pkiPath}/ca.crt`,
    `--service-account-private-key-file=${pkiPath}/service-account.key`,
    '--use-service-account-credentials=true',
    `--cluster-signing-cert-file=${pkiPath}/ca.crt`,
    `--cluster-signing-key-file=${pkiPath}/ca.key`,
    '--enable-hostpath-provisioner=true',
    // Every controller fetches a token at its start; at the default rate that takes four seconds.
    '--kube-api-qps=200',
    '--kube-api-burst=400',
    '--profiling=false',
  ]
}

export function schedulerArgs({ etcPath }: Layout): readonly string[] {
  return [
    `--kubeconfig=${etcPath}/scheduler.kubeconfig`,
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
    '--profiling=false',
  ]
}

export function kubeletArgs({ network, etcPath }: Layout): readonly string[] {
  return [
    `--config=${etcPath}/kubelet.json`,
    `--kubeconfig=${etcPath}/kubelet.kubeconfig`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${network.nodeIp}`,
    '--root-dir=/var/lib/kubelet',
  ]
}
