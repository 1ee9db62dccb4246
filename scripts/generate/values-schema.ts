/** The schema of the chart's values, so that a typo fails at install and not in silence. */
import { type TProperties, Type } from 'typebox'

/** Every value may be left out, and no other given. */
const object = (properties: TProperties, description: string) => {
  const optional = Object.entries(properties).map(([key, value]) => [key, Type.Optional(value)])
  return Type.Object(Object.fromEntries(optional) as TProperties, {
    additionalProperties: false,
    description,
  })
}
const choice = (values: readonly string[], description: string) =>
  Type.Unsafe<string>({ type: 'string', enum: [...values], description })
const open = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description })
const strings = (description: string) => Type.Record(Type.String(), Type.String(), { description })
const name = (description: string) => Type.String({ maxLength: 253, description })

const quantities = (description: string) =>
  Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), { description })

export const valuesSchema = object(
  {
    replicas: Type.Integer({
      minimum: 0,
      maximum: 16,
      description: 'replicas of the operator; one leads, the others inject and stand by',
    }),
    image: object(
      {
        repository: Type.String({ minLength: 1, description: 'repository without tag' }),
        tag: Type.String({ description: 'default: the chart’s appVersion' }),
        digest: Type.String({
          pattern: '^(sha256:[0-9a-f]{64})?$',
          description: 'sha256:…; wins over the tag',
        }),
        pullPolicy: choice(
          ['', 'Always', 'IfNotPresent', 'Never'],
          'for the operator and for sidecars; empty: as the cluster does',
        ),
      },
      'image of the operator and of injected sidecars',
    ),
    imagePullSecrets: Type.Array(object({ name: name('name of the Secret') }, 'a Secret'), {
      description: 'Secrets to pull the operator’s image with',
    }),
    logLevel: choice(['error', 'warn', 'info', 'debug'], 'how much the operator logs'),
    watchNamespace: Type.String({
      pattern: '^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$',
      description: 'serve this namespace only; empty: all',
    }),
    crds: object(
      {
        enabled: Type.Boolean({ description: 'install and upgrade the CRD with the chart' }),
        keep: Type.Boolean({ description: 'leave it when the chart is uninstalled' }),
      },
      'the CustomResourceDefinition',
    ),
    injection: object(
      {
        enabled: Type.Boolean({ description: 'install the admission webhook' }),
        failurePolicy: choice(
          ['Ignore', 'Fail'],
          'what becomes of pods that ask for a sidecar while the operator is away',
        ),
        excludedNamespaces: Type.Array(Type.String({ minLength: 1, maxLength: 63 }), {
          description: 'never injected, beside the operator’s own',
        }),
      },
      'the injector',
    ),
    resources: object(
      { requests: quantities('as in a container'), limits: quantities('as in a container') },
      'of the operator’s container',
    ),
    podDisruptionBudget: object(
      { enabled: Type.Boolean({ description: 'for two replicas or more' }) },
      'keeps one replica through node drains',
    ),
    serviceAccount: object(
      {
        name: name('default: the name of the Deployment'),
        annotations: strings('annotations'),
      },
      'the operator’s ServiceAccount',
    ),
    rbac: object(
      {
        aggregate: Type.Boolean({
          description: 'let the roles view, edit and admin cover RedisProxies',
        }),
      },
      'rights of users',
    ),
    podAnnotations: strings('of the operator’s pods'),
    podLabels: strings('of the operator’s pods'),
    nodeSelector: strings('of the operator’s pods'),
    tolerations: Type.Array(open('a toleration'), { description: 'of the operator’s pods' }),
    affinity: open('of the operator’s pods'),
    topologySpreadConstraints: Type.Array(open('a constraint'), {
      description: 'of the operator’s pods',
    }),
    priorityClassName: name('of the operator’s pods'),
    // What Helm hands to a chart that is a part of another one.
    global: open('values of a parent chart; not used'),
  },
  'values of the chart respmesh',
)

export function valuesSchemaJson(): string {
  const schema = { $schema: 'http://json-schema.org/draft-07/schema#', ...valuesSchema }
  return `${JSON.stringify(schema, null, 2)}\n`
}
