/** Servers that want TLS, a client certificate and an ACL user of everyone; their RedisProxy; a pod that uses it. */
import { readFileSync } from 'node:fs'
import type { Authority } from '../../support/certificates.ts'
import { redisImage } from './images.ts'
import { appNamespace } from './world.ts'

const quiet = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
}

export const socketDirectory = '/run/cache'

/** Of the servers’ users, and of clients. */
export interface Passwords {
  readonly app: string
  readonly admin: string
  readonly clients: string
}

export function secret(name: string, stringData: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData }
}

export function passwordSecrets({ app, admin, clients }: Passwords): readonly object[] {
  return [
    secret('vault-app', { username: 'app', password: app }),
    secret('vault-admin', { username: 'respmesh', password: admin }),
    secret('vault-clients', { password: clients }),
  ]
}

export function certificateSecrets(authority: Authority): readonly object[] {
  const text = (file: string) => readFileSync(file, 'utf8')
  const issued = (name: string, commonName: string) => {
    const { certFile, keyFile } = authority.issue(commonName)
    const [cert, key] = [text(certFile), text(keyFile)]
    return secret(name, { 'tls.crt': cert, 'tls.key': key, 'ca.crt': text(authority.caFile) })
  }
  return [
    secret('vault-ca', { 'ca.crt': text(authority.caFile) }),
    // For the names that the operator completes the endpoints to.
    issued('vault-servers', `*.vault.${appNamespace}.svc`),
    issued('vault-sidecar', 'sidecar'),
    issued('vault-listener', 'localhost'),
    issued('vault-guest', 'guest'),
  ]
}

/** `root` is the test’s own user, `link` that of the replicas. */
function serverArguments({ app, admin }: Passwords): readonly string[] {
  const files = ['cert', 'key', 'ca-cert'].flatMap((name, index) => [
    `--tls-${name}-file`,
    `/tls/${['tls.crt', 'tls.key', 'ca.crt'][index]}`,
  ])
  return [
    ['redis-server', '--port', '0', '--tls-port', '6379', '--dir', '/data', '--save', ''],
    ['--tls-auth-clients', 'yes', '--tls-replication', 'yes', ...files],
    ['--user', 'default', 'off'],
    ['--user', 'root', 'on', '>root', '~*', '&*', '+@all'],
    ['--user', 'link', 'on', '>link', '-@all', '+psync', '+replconf', '+ping'],
    ['--masteruser', 'link', '--masterauth', 'link'],
    ['--user', 'app', 'on', `>${app}`, '~*', '&*', '+@all'],
    ['--user', 'respmesh', 'on', `>${admin}`, '-@all', '+info', '+replicaof', '+slaveof'],
    ['--repl-diskless-sync-delay', '0', '--replicaof', '127.0.0.1 1'],
  ].flat()
}

export function secureServers(passwords: Passwords): readonly object[] {
  const labels = { app: 'vault' }
  const container = {
    name: 'redis',
    image: redisImage,
    command: serverArguments(passwords),
    securityContext: quiet,
    volumeMounts: [
      { name: 'data', mountPath: '/data' },
      { name: 'tls', mountPath: '/tls', readOnly: true },
    ],
  }
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'vault' },
      spec: {
        clusterIP: 'None',
        publishNotReadyAddresses: true,
        selector: labels,
        ports: [{ name: 'redis', port: 6379 }],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'vault' },
      spec: {
        serviceName: 'vault',
        replicas: 2,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 1,
            containers: [container],
            volumes: [
              { name: 'data', emptyDir: {} },
              { name: 'tls', secret: { secretName: 'vault-servers' } },
            ],
          },
        },
      },
    },
  ]
}

export function secureProxy(): object {
  return {
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxy',
    metadata: { name: 'vault' },
    spec: {
      backend: {
        endpoints: [{ host: 'vault-0.vault' }, { host: 'vault-1.vault' }],
        auth: { secretRef: { name: 'vault-app' }, adminSecretRef: { name: 'vault-admin' } },
        tls: {
          caSecretRef: { name: 'vault-ca' },
          clientCertSecretRef: { name: 'vault-sidecar' },
        },
      },
      proxy: {
        port: 0,
        tls: {
          secretRef: { name: 'vault-listener' },
          clientCertificate: 'Required',
          clientCaSecretRef: { name: 'vault-ca' },
        },
        unixSocket: { directory: socketDirectory },
        auth: { secretRef: { name: 'vault-clients' } },
        commands: { allow: ['config|get'], deny: ['keys'] },
        isolation: 'PerClient',
        workers: 2,
      },
    },
  }
}

/** Another user than the sidecar’s, as apps are. */
export function guestPod(): object {
  const container = {
    name: 'app',
    image: redisImage,
    command: ['sleep', '3600'],
    securityContext: { ...quiet, runAsUser: 1000, readOnlyRootFilesystem: true },
    volumeMounts: [{ name: 'tls', mountPath: '/tls', readOnly: true }],
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'guest', labels: { app: 'guest', 'respmesh.io/inject': 'vault' } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [container],
      volumes: [{ name: 'tls', secret: { secretName: 'vault-guest' } }],
    },
  }
}
