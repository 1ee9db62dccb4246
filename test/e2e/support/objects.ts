/** Objects that the story applies beside examples/. */
import { writerImage } from './images.ts'

const quiet = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
}

export function writerObjects(): readonly object[] {
  const labels = { app: 'writer' }
  const container = {
    name: 'writer',
    image: writerImage,
    securityContext: quiet,
    readinessProbe: { httpGet: { path: '/stats', port: 8080 }, periodSeconds: 1 },
  }
  return [
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'writer' },
      spec: {
        selector: { matchLabels: labels },
        template: {
          metadata: { labels, annotations: { 'respmesh.io/inject': 'cache' } },
          spec: { terminationGracePeriodSeconds: 1, containers: [container] },
        },
      },
    },
  ]
}

export function plainPod(annotations: Readonly<Record<string, string>>, name = 'plain'): object {
  const container = { name: 'app', image: writerImage, securityContext: quiet }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, annotations },
    spec: { terminationGracePeriodSeconds: 1, containers: [container] },
  }
}
