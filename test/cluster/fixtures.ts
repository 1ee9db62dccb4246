/** The objects and images that cluster.test.ts runs. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './command.ts'
import { nonRootId, rootfsOf } from './rootfs.ts'
import type { Cluster } from './types.ts'

export const redisImage = 'docker.io/library/redis:test'

const webhookImage = 'docker.io/respmesh/webhook:test'

/** An image of this machine's redis-server, with a shell and a few tools. */
export async function loadRedisImage(cluster: Cluster): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'respmesh-rootfs-'))
  const programs = ['redis-server', 'redis-cli', 'sh', 'sleep', 'cat', 'getent', 'id']
  const files = { '/etc/greeting': { content: 'hello\n' } }
  const root = await rootfsOf(programs, { into: path, files })
  await cluster.loadImage({ name: redisImage, root, entrypoint: ['redis-server'] })
  await rm(path, { recursive: true })
}

const webhookServer = `
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
const tls = { key: readFileSync('/app/key.pem'), cert: readFileSync('/app/cert.pem') }
createServer(tls, async (request, response) => {
  const { request: { uid } } = JSON.parse((await request.toArray()).join(''))
  const status = { message: 'refused by the webhook' }
  response.end(JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid, allowed: false, status },
  }))
}).listen(8443)
`

/** An image of this process's own Node that refuses what it is asked. Gives its certificate. */
export async function loadWebhookImage(cluster: Cluster, host: string): Promise<Buffer> {
  const path = await mkdtemp(join(tmpdir(), 'respmesh-rootfs-'))
  const [key, cert] = [join(path, 'key.pem'), join(path, 'cert.pem')]
  const subject = ['-subj', '/CN=webhook', '-addext', `subjectAltName=DNS:${host}`]
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  await run('openssl', ['req', '-x509', ...newKey, '-keyout', key, '-out', cert, ...subject])
  const root = await rootfsOf([process.execPath], {
    into: join(path, 'root'),
    files: {
      '/app/main.mjs': { content: webhookServer },
      '/app/key.pem': { from: key, mode: 0o644 },
      '/app/cert.pem': { from: cert },
    },
  })
  const entrypoint = ['node', '/app/main.mjs']
  const user = `${nonRootId}:${nonRootId}`
  await cluster.loadImage({ name: webhookImage, root, entrypoint, user })
  const certificate = await readFile(cert)
  await rm(path, { recursive: true })
  return certificate
}

export function webhookObjects(): readonly object[] {
  const labels = { app: 'webhook' }
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'webhook' },
      spec: { selector: labels, ports: [{ port: 443, targetPort: 8443 }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'webhook', labels },
      spec: {
        terminationGracePeriodSeconds: 0,
        securityContext: { runAsNonRoot: true },
        containers: [
          {
            name: 'webhook',
            image: webhookImage,
            imagePullPolicy: 'Never',
            readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
          },
        ],
      },
    },
  ]
}

/** Asks the webhook about new ConfigMaps of the namespace. */
export function webhookConfiguration(namespace: string, certificate: Buffer): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'cluster-test' },
    webhooks: [
      {
        name: 'test.respmesh.dev',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        timeoutSeconds: 5,
        failurePolicy: 'Fail',
        clientConfig: {
          service: { namespace, name: 'webhook' },
          caBundle: certificate.toString('base64'),
        },
        rules: [
          {
            apiGroups: [''],
            apiVersions: ['v1'],
            operations: ['CREATE'],
            resources: ['configmaps'],
          },
        ],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
      },
    ],
  }
}

const labels = { app: 'redis' }
const ports = [{ name: 'redis', port: 6379 }]

export function redisObjects(): readonly object[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis' },
      spec: { clusterIP: 'None', selector: labels, ports },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'redis-any' },
      spec: { selector: labels, ports },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'redis' },
      spec: {
        serviceName: 'redis',
        replicas: 2,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 5,
            containers: [
              {
                name: 'redis',
                image: redisImage,
                imagePullPolicy: 'IfNotPresent',
                args: ['--dir', '/data', '--protected-mode', 'no', '--save', '3600 1'],
                ports: [{ containerPort: 6379 }],
                readinessProbe: {
                  exec: { command: ['redis-cli', 'ping'] },
                  periodSeconds: 1,
                },
                volumeMounts: [{ name: 'data', mountPath: '/data' }],
              },
            ],
          },
        },
        volumeClaimTemplates: [
          {
            metadata: { name: 'data' },
            spec: {
              accessModes: ['ReadWriteOnce'],
              resources: { requests: { storage: '64Mi' } },
            },
          },
        ],
      },
    },
  ]
}

/** A pod that never gets ready, behind a headless Service that names it all the same. */
export function unreadyObjects(): readonly object[] {
  const labels = { app: 'unready' }
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'unready' },
      spec: { clusterIP: 'None', publishNotReadyAddresses: true, selector: labels, ports },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'unready', labels },
      spec: {
        hostname: 'first',
        subdomain: 'unready',
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'redis',
            image: redisImage,
            readinessProbe: { exec: { command: ['sh', '-c', 'exit 1'] } },
          },
        ],
      },
    },
  ]
}

/** An app that asks its sidecar once, at its start, and a token for the audience `respmesh`. */
export function sidecarPod(): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'with-sidecar' },
    spec: {
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: nonRootId, runAsGroup: nonRootId },
      initContainers: [
        {
          name: 'proxy',
          image: redisImage,
          restartPolicy: 'Always',
          args: ['--port', '16379', '--bind', '127.0.0.1'],
          startupProbe: {
            exec: { command: ['redis-cli', '-p', '16379', 'ping'] },
            periodSeconds: 1,
          },
        },
      ],
      containers: [
        {
          name: 'app',
          image: redisImage,
          command: ['sh', '-c', 'redis-cli -p 16379 ping && exec sleep infinity'],
          volumeMounts: [{ name: 'token', mountPath: '/var/run/secrets/respmesh' }],
        },
      ],
      volumes: [
        {
          name: 'token',
          projected: {
            sources: [
              {
                serviceAccountToken: {
                  path: 'token',
                  audience: 'respmesh',
                  expirationSeconds: 3600,
                },
              },
            ],
          },
        },
      ],
    },
  }
}
