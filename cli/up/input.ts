/** What `respmesh up` is to run: a RedisProxy and its Secrets, from a file or from addresses. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { ConfigError } from '../../common/errors.ts'
import { type ServerUrl, parseServerUrl } from '../../common/redis/url.ts'
import { type Manifests, parseManifests } from '../../operator/api/manifest.ts'
import { type RedisProxy, isChosenByOperator } from '../../operator/api/redis-proxy.ts'
import type { UpOptions } from './options.ts'

export interface UpInput {
  readonly proxy: RedisProxy
  readonly secrets: Manifests['secrets']
  readonly needsServers: boolean
  /** How it is called in messages. */
  readonly source: string
}

const exampleFile = fileURLToPath(new URL('../../examples/redisproxy.yaml', import.meta.url))

/** @throws ConfigError RM_CONFIG_UNREADABLE, RM_CONFIG_INVALID, RM_ENDPOINT_INVALID */
export async function readInput(options: UpOptions): Promise<UpInput> {
  if (options.upstream !== undefined) return fromAddresses(options.upstream)
  const file = options.file ?? exampleFile
  const source = options.file ?? 'examples/redisproxy.yaml'
  const { proxies, secrets } = parseManifests(await read(file), source)
  const [proxy, ...others] = proxies
  if (proxy === undefined || others.length > 0) {
    const count = proxies.length === 0 ? 'no' : `${proxies.length}`
    throw new ConfigError('RM_CONFIG_INVALID', `${source} holds ${count} RedisProxy; up runs one`)
  }
  const needsServers = options.file === undefined || options.withServers || options.isDemo
  const { tls, sentinel } = proxy.spec.backend
  if (needsServers && (tls ?? sentinel?.tls) !== undefined) {
    const field = tls === undefined ? 'sentinel.tls' : 'tls'
    throw new ConfigError(
      'RM_CONFIG_INVALID',
      `${source}: spec.backend.${field} is set, and servers started here speak plain TCP; take it out or leave --with-servers out`,
    )
  }
  if (options.isDemo && !isChosenByOperator(proxy.spec)) {
    throw new ConfigError(
      'RM_CONFIG_INVALID',
      `${source}: --demo shows how the operator replaces a primary, which it does not do in this mode; leave --demo out`,
    )
  }
  return { proxy, secrets, needsServers, source }
}

/** The manifest that a user would write for these servers, so that it is checked like any other. */
function fromAddresses(texts: readonly string[]): UpInput {
  const urls = texts.map(parseServerUrl)
  const [first] = urls
  if (first === undefined) {
    throw new ConfigError('RM_ENDPOINT_INVALID', '--upstream names no server')
  }
  if (urls.length > 1 && urls.some(({ host }) => isUnixSocket(host))) {
    throw new ConfigError(
      'RM_ENDPOINT_INVALID',
      '--upstream: a unix socket is one server alone, because replicas cannot be told to follow it',
    )
  }
  if (urls.some((url) => !hasSameAccess(url, first))) {
    throw new ConfigError(
      'RM_ENDPOINT_INVALID',
      '--upstream: the servers of one set have the same user, password and scheme',
    )
  }
  const { password, username } = first
  const spec = {
    backend: {
      mode: urls.length > 1 ? 'Replication' : 'Standalone',
      // A RedisProxy names no unix sockets: in a cluster nobody else would reach it. Here everyone does.
      endpoints: isUnixSocket(first.host)
        ? [{ host: 'localhost' }]
        : urls.map(({ host, port }) => ({ host, port })),
      ...(password && { auth: { secretRef: { name: 'upstream' } } }),
      ...(first.isTls && { tls: {} }),
    },
  }
  const manifest = {
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxy',
    metadata: { name: 'upstream' },
    spec,
  }
  const [proxy] = parseManifests(stringify(manifest), '--upstream').proxies
  if (proxy === undefined) throw new Error('a manifest of our own was not read back')
  const secret = {
    ...(username !== undefined && { username }),
    ...(password && { password: password.reveal() }),
  }
  const secrets = new Map(password === undefined ? [] : [['default/upstream', secret] as const])
  return {
    proxy: isUnixSocket(first.host) ? withEndpoint(proxy, first) : proxy,
    secrets,
    needsServers: false,
    source: '--upstream',
  }
}

function isUnixSocket(host: string): boolean {
  return host.startsWith('/')
}

function withEndpoint(proxy: RedisProxy, { host, port }: ServerUrl): RedisProxy {
  const { backend } = proxy.spec
  const endpoints = [{ host, port, promotable: true }]
  return { ...proxy, spec: { ...proxy.spec, backend: { ...backend, endpoints } } }
}

function hasSameAccess(a: ServerUrl, b: ServerUrl): boolean {
  return (
    a.isTls === b.isTls &&
    a.username === b.username &&
    a.password?.reveal() === b.password?.reveal()
  )
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new ConfigError('RM_CONFIG_UNREADABLE', `${file} cannot be read`, { cause })
  }
}
