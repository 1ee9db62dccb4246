/** `respmesh topology`: what a sidecar knows of its servers, as a table that is read at a glance. */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ConfigError, SystemError } from '../common/errors.ts'
import { statusBytesMax, statusTimeoutMs, topologyWatchMs } from '../common/limits.ts'
import { type Topology, isWell, topologyText } from './topology/table.ts'
import { paintFor } from './up/terminal.ts'

const addressDefault = '127.0.0.1:16380'
const help = `Usage: respmesh topology [--admin URL] [--json] [--watch]

Shards, servers, their roles, health, lag and load, as a sidecar sees them.

      --admin URL  admin port of the sidecar: HOST:PORT, http://… or https://USER:PASSWORD@… (${addressDefault})
      --json       as JSON
      --watch      again every second, until Ctrl-C

Exit code 0: every server in use is well and every key has one; 1: not so, or nobody answers.
For a certificate of your own authority set NODE_EXTRA_CA_CERTS.`

interface Options {
  readonly url: URL
  readonly isJson: boolean
  readonly isWatch: boolean
}

/** @throws ConfigError RM_USAGE; SystemError RM_STATUS */
export async function topology(args: readonly string[]): Promise<number> {
  const options = read(args)
  if (options === undefined) {
    console.log(help)
    return 0
  }
  let isGood = await show(options)
  while (options.isWatch) {
    await delay(topologyWatchMs)
    isGood = await show(options).catch((error: unknown) => {
      if (!(error instanceof SystemError)) throw error
      console.log(error.message)
      return false
    })
  }
  return isGood ? 0 : 1
}

/** Undefined: help is asked for. */
function read(args: readonly string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        admin: { type: 'string' },
        json: { type: 'boolean' },
        watch: { type: 'boolean', short: 'w' },
      },
    })
    if (values.help === true) return undefined
    return {
      url: urlOf(values.admin ?? addressDefault),
      isJson: values.json === true,
      isWatch: values.watch === true,
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('RM_USAGE', `${why}\n${help}`, { cause })
  }
}

function urlOf(text: string): URL {
  const url = new URL(/^https?:\/\//.test(text) ? text : `http://${text}`)
  url.pathname = '/topology'
  return url
}

async function show({ url, isJson, isWatch }: Options): Promise<boolean> {
  const found = await ask(url)
  const { stdout } = process
  if (isWatch && stdout.isTTY && !isJson) stdout.write('\x1b[2J\x1b[H')
  console.log(
    isJson ? JSON.stringify(found, null, 2) : topologyText(found, paintFor(stdout, process.env)),
  )
  if (isWatch && !stdout.isTTY && !isJson) console.log('')
  return isWell(found)
}

async function ask(url: URL): Promise<Topology> {
  const { host, username, password } = url
  const plain = new URL(url)
  plain.username = ''
  plain.password = ''
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const headers: Record<string, string> =
    password === '' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` }
  try {
    const response = await fetch(plain, { headers, signal: AbortSignal.timeout(statusTimeoutMs) })
    const text = await response.text()
    if (!response.ok) throw failed(host, `${response.status}: ${text.slice(0, 200).trim()}`)
    if (text.length > statusBytesMax) throw failed(host, 'its answer has no end')
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
    throw failed(host, 'its answer is no topology')
  } catch (cause) {
    if (cause instanceof SystemError) throw cause
    if (cause instanceof SyntaxError) throw failed(host, 'it is not the admin port of a sidecar')
    throw failed(host, 'nobody answers there', cause)
  }
}

function failed(address: string, why: string, cause?: unknown): SystemError {
  return new SystemError('RM_STATUS', `${address}: ${why}`, { cause })
}
