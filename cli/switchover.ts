/**
 * `respmesh switchover [NAME]`: asks what `respmesh up` runs for a planned change of the primary and tells how it goes; for a
 * cluster it prints the RedisProxyOperation to create.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { ConfigError, SystemError } from '../common/errors.ts'
import {
  operationPollMs,
  operationWaitMs,
  statusBytesMax,
  statusTimeoutMs,
} from '../common/limits.ts'
import { formatHostPort, parseHostPort } from '../common/redis/url.ts'
import { parseManifests } from '../operator/api/manifest.ts'
import { durationMs } from '../operator/api/redis-proxy.ts'

const consoleDefault = '127.0.0.1:16300'
const help = `Usage: respmesh switchover [NAME] [--to HOST:PORT] [--wait DURATION] [--console HOST:PORT]
       respmesh switchover NAME [--to HOST:PORT] --yaml | kubectl create -f -

Makes another server the primary while everything runs: clients are held for some milliseconds, nothing is lost, and
if it cannot be done in time the primary stays what it is.

  NAME                 the RedisProxy (default: the one that respmesh up runs)
  --to HOST:PORT       the next primary (default: the replica that fits best)
  --wait DURATION      how long to wait for the end, e.g. 500ms, 30s, 2m (30s)
  --console HOST:PORT  status page of respmesh up (${consoleDefault})
  --yaml               print the RedisProxyOperation for a cluster, and ask nobody

Exit code 0: it is done; 1: it was not, or not in time, or nobody answers.`

interface Wanted {
  readonly name?: string
  readonly to?: string
}

/** @throws ConfigError RM_USAGE, RM_ENDPOINT_INVALID, RM_CONFIG_INVALID; SystemError RM_STATUS */
export async function switchover(args: readonly string[]): Promise<number> {
  const { values, positionals } = read(args)
  if (values.help === true) {
    console.log(help)
    return 0
  }
  const [name] = positionals
  const { to } = values
  const wanted = { ...(name !== undefined && { name }), ...(to !== undefined && { to }) }
  if (values.yaml === true) {
    console.log(yamlOf(wanted))
    return 0
  }
  const origin = `http://${formatHostPort(parseHostPort(values.console ?? consoleDefault))}`
  return carryOut(origin, wanted, waitMs(values.wait))
}

function read(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    const found = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        to: text,
        wait: text,
        console: text,
        yaml: { type: 'boolean' },
      },
      allowPositionals: true,
    })
    if (found.positionals.length > 1) throw new Error('name one RedisProxy')
    return found
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('RM_USAGE', `${why}\n${help}`, { cause })
  }
}

function waitMs(text: string | undefined): number {
  if (text === undefined) return operationWaitMs
  try {
    return durationMs(text)
  } catch (cause) {
    throw new ConfigError('RM_USAGE', `--wait: ${text} is no duration\n${help}`, { cause })
  }
}

/** Checked like any other manifest, so that what is printed can be created. */
function yamlOf({ name, to }: Wanted): string {
  if (name === undefined) throw new ConfigError('RM_USAGE', `--yaml: name the RedisProxy\n${help}`)
  const text = stringify({
    apiVersion: 'respmesh.io/v1alpha1',
    kind: 'RedisProxyOperation',
    metadata: { generateName: `${name}-switchover-` },
    spec: { kind: 'Switchover', proxy: name, ...(to !== undefined && { to }) },
  })
  parseManifests(text, 'the operation')
  return text.trimEnd()
}

interface Told {
  readonly phase?: string
  readonly message?: string
}

async function carryOut(origin: string, wanted: Wanted, patienceMs: number): Promise<number> {
  const deadline = performance.now() + patienceMs
  const name = await ask(origin, wanted)
  let said = ''
  for (;;) {
    const { phase = '', message = '' } = await request<Told>(`${origin}/v1/operations/${name}`)
    if (phase === 'Succeeded') {
      console.log(await resultOf(origin, message))
      return 0
    }
    if (phase === 'Failed') {
      console.error(`respmesh switchover: not done: ${message}`)
      return 1
    }
    const line = `${phase.toLowerCase()}: ${message}`
    if (line !== said) console.error(line)
    said = line
    if (performance.now() >= deadline) {
      console.error(`respmesh switchover: it has not ended within ${patienceMs} ms; it goes on`)
      return 1
    }
    await delay(operationPollMs)
  }
}

async function ask(origin: string, { name: proxy, to }: Wanted): Promise<string> {
  const { token } = await request<{ token?: string }>(`${origin}/api/token`)
  if (token === undefined) throw failed(origin, 'it is not the status page of respmesh up')
  const { name } = await request<{ name?: string }>(`${origin}/v1/operations`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-respmesh-token': token },
    body: JSON.stringify({ kind: 'Switchover', ...(proxy && { proxy }), ...(to && { to }) }),
  })
  if (name === undefined) throw failed(origin, 'it did not say how it calls the operation')
  return name
}

interface State {
  readonly lastFailover?: {
    readonly from?: string
    readonly to?: string
    readonly durationMs?: number
    readonly lostBytes?: number
  }
}

async function resultOf(origin: string, message: string): Promise<string> {
  const { lastFailover: last } = await request<State>(`${origin}/api/status`)
  if (last?.to === undefined) return message
  const parts = [
    `${last.from ?? 'nobody'} → ${last.to}`,
    ...(last.durationMs === undefined ? [] : [`held for ${last.durationMs} ms`]),
    ...(last.lostBytes === undefined ? [] : [`bytes lost ${last.lostBytes}`]),
  ]
  return parts.join(', ')
}

/** @throws SystemError RM_STATUS with what the page said against it */
async function request<T extends object>(url: string, init: RequestInit = {}): Promise<T> {
  const { origin } = new URL(url)
  let status: number
  let text: string
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(statusTimeoutMs) })
    status = response.status
    text = (await response.text()).slice(0, statusBytesMax)
  } catch (cause) {
    throw failed(
      origin,
      'nobody answers there: is respmesh up running? For a cluster, use --yaml',
      cause,
    )
  }
  const value = parse(text)
  if (value === undefined) throw failed(origin, 'it is not the status page of respmesh up')
  if (status >= 200 && status <= 299) return value as T
  throw failed(origin, 'error' in value ? String(value.error) : `it answered ${status}`)
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

function failed(origin: string, why: string, cause?: unknown): SystemError {
  return new SystemError('RM_STATUS', `${new URL(origin).host}: ${why}`, { cause })
}
