/**
 * The certificate authority of one run and what it signs. Made by openssl, kept in the run's folder,
 * valid for ten days, never used again.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './command.ts'
import type { Network } from './types.ts'

export const nodeName = 'lab'

/** Client certificates: the user and groups that Kubernetes reads from each. */
const clients = {
  admin: { user: 'lab-admin', group: 'system:masters' },
  'controller-manager': { user: 'system:kube-controller-manager' },
  scheduler: { user: 'system:kube-scheduler' },
  proxy: { user: 'system:kube-proxy' },
  coredns: { user: 'system:coredns' },
  kubelet: { user: `system:node:${nodeName}`, group: 'system:nodes' },
  'apiserver-kubelet-client': { user: 'lab-apiserver', group: 'system:masters' },
  'front-proxy-client': { user: 'front-proxy-client' },
} as const

export type ClientName = keyof typeof clients

export const kubeconfigClients = [
  'admin',
  'controller-manager',
  'scheduler',
  'proxy',
  'coredns',
  'kubelet',
] as const satisfies readonly ClientName[]

/** Writes `<name>.crt` and `<name>.key` of each, `ca.*` and `service-account.*` into `pkiPath`. */
export async function makeCertificates(pkiPath: string, network: Network): Promise<void> {
  await mkdir(pkiPath, { recursive: true })
  const ca = join(pkiPath, 'ca')
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '10']
  const files = (path: string) => ['-keyout', `${path}.key`, '-out', `${path}.crt`]
  // Without a file of ours openssl reads the machine's, with extensions that we do not want twice.
  const config = join(pkiPath, 'openssl.cnf')
  await writeFile(config, '[req]\ndistinguished_name = name\n[name]\n')
  const request = (args: readonly string[]) => run('openssl', ['req', '-config', config, ...args])
  const extend = (extensions: readonly string[]) => extensions.flatMap((text) => ['-addext', text])
  const authority = [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
    'subjectKeyIdentifier=hash',
  ]
  const self = ['-x509', '-subj', '/CN=respmesh-lab']
  await request([...self, ...newKey, ...files(ca), ...extend(authority)])
  const leaf = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature']
  const signed = ['-x509', '-CA', `${ca}.crt`, '-CAkey', `${ca}.key`, ...newKey]
  const sign = (name: string, subject: string, extensions: readonly string[]) => {
    const target = files(join(pkiPath, name))
    return request([...signed, ...target, '-subj', subject, ...extend([...leaf, ...extensions])])
  }
  const serve = (name: string, names: readonly string[]) =>
    sign(name, `/CN=${name}`, ['extendedKeyUsage=serverAuth', `subjectAltName=${names.join(',')}`])
  const apiNames = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'].flatMap(
    (name) => [`DNS:${name}`, `DNS:${name}.cluster.local`],
  )
  const nodeNames = ['DNS:localhost', 'IP:127.0.0.1', `IP:${network.nodeIp}`]
  await Promise.all([
    serve('apiserver', [...nodeNames, ...apiNames, `IP:${network.apiServiceIp}`]),
    serve('kubelet-server', [...nodeNames, `DNS:${nodeName}`]),
    ...Object.entries(clients).map(([name, client]) => {
      const group = 'group' in client ? `/O=${client.group}` : ''
      return sign(name, `${group}/CN=${client.user}`, ['extendedKeyUsage=clientAuth'])
    }),
    run('openssl', ['genrsa', '-out', join(pkiPath, 'service-account.key'), '2048']),
  ])
  const key = join(pkiPath, 'service-account.key')
  await run('openssl', ['rsa', '-in', key, '-pubout', '-out', join(pkiPath, 'service-account.pub')])
}

/** A kubeconfig with the certificates inside, usable from anywhere. JSON, which is YAML too. */
export function kubeconfigOf(options: {
  readonly server: string
  readonly ca: Uint8Array
  readonly certificate: Uint8Array
  readonly key: Uint8Array
}): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'lab',
        cluster: { server: options.server, 'certificate-authority-data': base64(options.ca) },
      },
    ],
    users: [
      {
        name: 'lab',
        user: {
          'client-certificate-data': base64(options.certificate),
          'client-key-data': base64(options.key),
        },
      },
    ],
    contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
    'current-context': 'lab',
  }
  return `${JSON.stringify(config, null, 2)}\n`
}
