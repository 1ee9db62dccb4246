/**
 * `respmesh status [ADDRESS]`: one screen of what a sidecar's admin port, or the status page of `respmesh up`, says.
 * Either is asked by what it has: `/status` or `/api/status`.
 */
import { parseArgs } from 'node:util'
import { ConfigError, SystemError } from '../common/errors.ts'
import { statusBytesMax, statusTimeoutMs } from '../common/limits.ts'
import { formatHostPort, parseHostPort } from '../common/redis/url.ts'
import { type Answer, screenOf } from './status/screen.ts'

const addressDefault = '127.0.0.1:16380'
const help = `Usage: respmesh status [HOST:PORT] [--json]

What the admin port of a sidecar says (default ${addressDefault}), or the status page of respmesh up.
Exit code 0: it is ready and its primary can be used; 1: it is not, or nobody answers.

In a cluster: kubectl port-forward pod/NAME 16380, then respmesh status.`

/** @throws ConfigError RM_USAGE, RM_ENDPOINT_INVALID; SystemError RM_STATUS */
export async function status(args: readonly string[]): Promise<number> {
  const { values, positionals } = read(args)
  if (values.help === true) {
    console.log(help)
    return 0
  }
  if (positionals.length > 1) throw new ConfigError('RM_USAGE', `name one address.\n${help}`)
  const address = formatHostPort(parseHostPort(positionals[0] ?? addressDefault))
  const answer = await ask(address)
  const { text, isGood } = screenOf(answer)
  console.log(values.json === true ? JSON.stringify(answer.value, null, 2) : text)
  return isGood ? 0 : 1
}

function read(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: { help: { type: 'boolean', short: 'h' }, json: { type: 'boolean' } },
      allowPositionals: true,
    })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('RM_USAGE', `${why}\n${help}`, { cause })
  }
}

async function ask(address: string): Promise<Answer> {
  for (const [kind, path] of [
    ['sidecar', '/status'],
    ['up', '/api/status'],
  ] as const) {
    const value = await fetchJson(`http://${address}${path}`)
    if (value !== undefined) return { kind, address, value }
  }
  throw failed(address, 'it is neither the admin port of a sidecar nor the status page of up')
}

/** Undefined: there is no such page. */
async function fetchJson(url: string): Promise<object | undefined> {
  const { host } = new URL(url)
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(statusTimeoutMs) })
    if (!response.ok) {
      await response.body?.cancel()
      return undefined
    }
    const value: unknown = JSON.parse(await textOf(response))
    return typeof value === 'object' && value !== null ? value : undefined
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined
    if (cause instanceof SystemError) throw cause
    throw failed(host, 'nobody answers there', cause)
  }
}

async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true })
    if (text.length > statusBytesMax) throw failed(response.url, 'its answer has no end')
  }
  return text
}

function failed(address: string, why: string, cause?: unknown): SystemError {
  return new SystemError('RM_STATUS', `${address}: ${why}`, { cause })
}
