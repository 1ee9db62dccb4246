/**
 * Local manifests: a YAML file of `RedisProxy`, `RedisProxyOperation` and `Secret` documents, checked as the API server
 * would check them and defaulted likewise, with every error at once.
 */
import { LineCounter, parseAllDocuments } from 'yaml'
import { type ValidationIssue, describeIssues } from '../../common/contract/issues.ts'
import { ConfigError } from '../../common/errors.ts'
import { validateRedisProxy } from './generated/validate-redis-proxy.js'
import { validateRedisProxyOperation } from './generated/validate-redis-proxy-operation.js'
import { operationRules } from './operation-rules.ts'
import type { OperationSpec } from './operation.ts'
import type { RedisProxy, RedisProxySpec } from './redis-proxy.ts'
import { specRules } from './rules.ts'

export interface ManifestIssue extends ValidationIssue {
  /** Index of the YAML document in the file, from 0. */
  readonly document: number
  readonly line?: number
}

export interface Manifests {
  readonly proxies: readonly RedisProxy[]
  readonly operations: readonly OperationSpec[]
  /** Decoded Secrets by `namespace/name`; the values never leave the process but by file. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>
}

/** Documents in one file; more is taken for a mistake. */
export const documentsMax = 256

/**
 * Parses and checks the text of a file; documents of other kinds are passed over, so that an app's own
 * manifests may stand beside.
 * @throws ConfigError RM_CONFIG_UNREADABLE if it is not YAML; RM_CONFIG_INVALID with `data.issues`
 * (`ManifestIssue[]`) naming every wrong field.
 */
export function parseManifests(text: string, source: string): Manifests {
  const lineCounter = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter })
  if (!Array.isArray(documents)) return { proxies: [], operations: [], secrets: new Map() }
  const broken = documents.flatMap((document) => document.errors)
  if (broken.length > 0) {
    const lines = broken.map((error) => error.message.split('\n')[0] ?? 'not YAML')
    throw new ConfigError('RM_CONFIG_UNREADABLE', `${source} is not YAML: ${lines.join('; ')}`)
  }
  if (documents.length > documentsMax) {
    throw new ConfigError(
      'RM_CONFIG_UNREADABLE',
      `${source} has more than ${documentsMax} documents`,
    )
  }
  const issues: ManifestIssue[] = []
  const proxies: RedisProxy[] = []
  const operations: OperationSpec[] = []
  const secrets = new Map<string, Readonly<Record<string, string>>>()
  for (const [index, document] of documents.entries()) {
    const value: unknown = document.toJS()
    const lineOf = (path: string) => {
      const parts = path.split(/[.[\]]+/).filter((part) => part !== '')
      for (let length = parts.length; length > 0; length -= 1) {
        const keys = parts
          .slice(0, length)
          .map((part) => (/^\d+$/.test(part) ? Number(part) : part))
        const node = document.getIn(keys, true)
        const range = isNode(node) ? node.range : undefined
        if (range) return lineCounter.linePos(range[0]).line
      }
      return undefined
    }
    if (kindOf(value) === 'Secret') readSecretDocument(value, secrets)
    const found = check(value)
    if (found.kind === 'proxy') proxies.push(found.proxy)
    if (found.kind === 'operation') operations.push(found.spec)
    for (const issue of found.kind === 'invalid' ? found.issues : []) {
      const line = lineOf(issue.path)
      issues.push({ document: index, ...issue, ...(line !== undefined && { line }) })
    }
  }
  if (issues.length > 0) throw invalid(source, issues)
  return { proxies, operations, secrets }
}

function check(value: unknown): Checked {
  const kind = kindOf(value)
  if (kind === 'RedisProxy') return checkProxy(value)
  return kind === 'RedisProxyOperation' ? checkOperation(value) : { kind: 'other' }
}

type Checked =
  | { readonly kind: 'proxy'; readonly proxy: RedisProxy }
  | { readonly kind: 'operation'; readonly spec: OperationSpec }
  | { readonly kind: 'other' }
  | { readonly kind: 'invalid'; readonly issues: readonly ValidationIssue[] }

function checkProxy(value: unknown): Checked {
  if (!validateRedisProxy(value)) {
    return { kind: 'invalid', issues: describeIssues(validateRedisProxy.errors ?? []) }
  }
  const { metadata, spec } = value as { metadata: RedisProxy['metadata']; spec: RedisProxySpec }
  const broken = specRules.filter((rule) => !rule.holds(spec))
  const duplicates = duplicateEndpoints(spec)
  const issues = [
    ...broken.map(({ on, message }) => ({ path: on === '' ? 'spec' : `spec.${on}`, message })),
    ...duplicates,
  ]
  if (issues.length > 0) return { kind: 'invalid', issues }
  const namespace = metadata.namespace ?? 'default'
  return {
    kind: 'proxy',
    proxy: {
      apiVersion: 'respmesh.io/v1alpha1',
      kind: 'RedisProxy',
      metadata: {
        ...metadata,
        namespace,
        uid: `local-${namespace}-${metadata.name}`,
        generation: 1,
        resourceVersion: '1',
      },
      spec,
    },
  }
}

function checkOperation(value: unknown): Checked {
  if (!validateRedisProxyOperation(value)) {
    const errors = validateRedisProxyOperation.errors ?? []
    return { kind: 'invalid', issues: describeIssues(errors) }
  }
  const { spec } = value as { spec: OperationSpec }
  const broken = operationRules.filter((rule) => !rule.holds(spec))
  if (broken.length === 0) return { kind: 'operation', spec }
  return { kind: 'invalid', issues: broken.map(({ message }) => ({ path: 'spec', message })) }
}

/** The same for what comes without the frame of a manifest; defaults are set. */
export function checkOperationSpec(
  spec: object,
): { readonly spec: OperationSpec } | { readonly issues: readonly ValidationIssue[] } {
  const frame = { apiVersion: 'respmesh.io/v1alpha1', kind: 'RedisProxyOperation', metadata: {} }
  const found = checkOperation({ ...frame, spec })
  if (found.kind === 'operation') return { spec: found.spec }
  return { issues: found.kind === 'invalid' ? found.issues : [] }
}

function duplicateEndpoints(spec: RedisProxySpec): ValidationIssue[] {
  const seen = new Set<string>()
  return spec.backend.endpoints.flatMap((endpoint, index) => {
    const address = `${endpoint.host}:${endpoint.port}`
    if (seen.has(address)) {
      return [
        {
          path: `spec.backend.endpoints[${index}]`,
          message: `is listed twice (it is "${address}")`,
        },
      ]
    }
    seen.add(address)
    return []
  })
}

function readSecretDocument(
  value: unknown,
  into: Map<string, Readonly<Record<string, string>>>,
): void {
  const secret = value as {
    metadata?: { name?: string; namespace?: string }
    data?: Record<string, string>
    stringData?: Record<string, string>
  }
  const decoded = Object.entries(secret.data ?? {}).map(([key, encoded]) => [
    key,
    Buffer.from(encoded, 'base64').toString('utf8'),
  ])
  const key = `${secret.metadata?.namespace ?? 'default'}/${secret.metadata?.name ?? ''}`
  into.set(key, { ...Object.fromEntries(decoded), ...secret.stringData })
}

function kindOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return undefined
  return typeof value.kind === 'string' ? value.kind : undefined
}

function isNode(value: unknown): value is { readonly range?: readonly [number, number, number] } {
  return typeof value === 'object' && value !== null && 'range' in value
}

function invalid(source: string, issues: readonly ManifestIssue[]): ConfigError {
  const lines = issues.map(
    (issue) =>
      `${source}${issue.line === undefined ? '' : `:${issue.line}`}: ${issue.path} ${issue.message}`,
  )
  const noun = issues.length === 1 ? 'error' : 'errors'
  return new ConfigError(
    'RM_CONFIG_INVALID',
    `${issues.length} ${noun} in ${source}:\n  ${lines.join('\n  ')}`,
    {
      data: { issues },
    },
  )
}
