/** `respmesh topology`: what a sidecar knows of its servers, as a table that is read at a glance. */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ConfigError, SystemError } from '../common/errors.ts'
import { topologyWatchMs } from '../common/limits.ts'
import { type AdminLogin, failed, readAdmin } from './admin-port.ts'
import { type Topology, isWell, topologyText } from './topology/table.ts'
import { paintFor } from './up/terminal.ts'

const urlDefault = 'http://127.0.0.1:16380'
const help = `Usage: respmesh topology [--json] [--watch] [--admin URL] [--user NAME] [--ca FILE] [--cert FILE --key FILE]

Shards, servers, their roles, health, lag and load, as the sidecar sees them whose admin port is at URL (default
${urlDefault}).

      --json   as JSON
      --watch  again every second, until Ctrl-C

Exit code 0: every server in use is well and every key has one; 1: not so, or nobody answers.
The password is read from RESPMESH_ADMIN_PASSWORD or the file RESPMESH_ADMIN_PASSWORD_FILE, never from an argument.`

interface Options {
  readonly url: URL
  readonly login: AdminLogin
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
  const text = { type: 'string' } as const
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
        watch: { type: 'boolean', short: 'w' },
        admin: text,
        user: text,
        ca: text,
        cert: text,
        key: text,
      },
    })
    if (values.help === true) return undefined
    const { user, ca, cert, key } = values
    return {
      url: urlOf(values.admin ?? urlDefault),
      login: { user, ca, cert, key },
      isJson: values.json === true,
      isWatch: values.watch === true,
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('RM_USAGE', `${why}\n${help}`, { cause })
  }
}

function urlOf(text: string): URL {
  const url = new URL(text.includes('://') ? text : `http://${text}`)
  if (!/^https?:$/.test(url.protocol) || url.password !== '') {
    throw new Error('--admin: expected http://HOST:PORT or https://')
  }
  return new URL('/topology', url)
}

async function show({ url, login, isJson, isWatch }: Options): Promise<boolean> {
  const found = await ask(url, login)
  const { stdout } = process
  if (isWatch && stdout.isTTY && !isJson) stdout.write('\x1b[2J\x1b[H')
  console.log(
    isJson ? JSON.stringify(found, null, 2) : topologyText(found, paintFor(stdout, process.env)),
  )
  if (isWatch && !stdout.isTTY && !isJson) console.log('')
  return isWell(found)
}

async function ask(url: URL, login: AdminLogin): Promise<Topology> {
  const text = await readAdmin(url, login)
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch (cause) {
    throw failed(url, 'it is not the admin port of a sidecar', cause)
  }
  throw failed(url, 'its answer is no topology')
}
