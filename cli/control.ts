/**
 * `respmesh pause`, `resume`, `reload` and the like: one command to the admin port of a sidecar, and its answer. It logs in
 * with the same variables that a sidecar reads.
 */
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { parseArgs } from 'node:util'
import { ConfigError, SystemError } from '../common/errors.ts'
import { http, loadHttps } from '../common/http.ts'
import { controlTimeoutMs, statusBytesMax } from '../common/limits.ts'
import { readSecret } from '../common/secret.ts'

const urlDefault = 'http://127.0.0.1:16380'

/** What the command is called at the admin port. */
const commands = {
  pause: 'pause',
  resume: 'unpause',
  reload: 'reload',
  'terminate-raw-connections': 'terminate-raw-connections',
  'log-messages': 'log-messages',
} as const

export type ControlWord = keyof typeof commands

const help = (
  word: ControlWord,
) => `Usage: respmesh ${word} [--admin URL] [--user NAME] [--ca FILE] [--cert FILE --key FILE]${
  word === 'log-messages' ? ' [--seconds N] [--max N] [--keys hash|plain|none]' : ''
}

Tells the sidecar whose admin port is at URL (default ${urlDefault}). Exit code 0: done; 1: not, with every reason.

The password is read from RESPMESH_ADMIN_PASSWORD or the file RESPMESH_ADMIN_PASSWORD_FILE, never from an argument.`

/** @throws ConfigError RM_USAGE; SystemError RM_STATUS */
export async function control(word: ControlWord, args: readonly string[]): Promise<number> {
  const values = read(word, args)
  if (values.help === true) {
    console.log(help(word))
    return 0
  }
  const { seconds, max, keys } = values
  const given = Object.entries({ seconds, max, keys }).filter(([, value]) => value !== undefined)
  const fields = new URLSearchParams([['cmd', commands[word]], ...(given as [string, string][])])
  const answer = await ask(urlOf(values.admin ?? urlDefault, word), fields.toString(), values)
  if (answer.ok) return 0
  for (const line of answer.error.split('; ')) console.error(`respmesh ${word}: ${line}`)
  return 1
}

type Values = ReturnType<typeof read>

function read(word: ControlWord, args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        help: { type: 'boolean', short: 'h' },
        admin: text,
        user: text,
        ca: text,
        cert: text,
        key: text,
        seconds: text,
        max: text,
        keys: text,
      },
    }).values
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('RM_USAGE', `${why}\n${help(word)}`, { cause })
  }
}

function urlOf(text: string, word: ControlWord): URL {
  const full = text.includes('://') ? text : `http://${text}`
  const url = URL.canParse(full) ? new URL(full) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.password !== '') {
    throw new ConfigError(
      'RM_USAGE',
      `--admin: expected http://HOST:PORT or https://\n${help(word)}`,
    )
  }
  return new URL('/cmd/', url)
}

type CommandAnswer = { readonly ok: true } | { readonly ok: false; readonly error: string }

async function ask(url: URL, body: string, values: Values): Promise<CommandAnswer> {
  const isSecure = url.protocol === 'https:'
  const file = (path: string | undefined) => path && readFileSync(path)
  const options = {
    method: 'POST',
    timeout: controlTimeoutMs,
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...login(values.user) },
    ...(isSecure && { ca: file(values.ca), cert: file(values.cert), key: file(values.key) }),
  }
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const request = (isSecure ? loadHttps() : http).request(url, options, resolve)
  request.on('error', reject).on('timeout', () => request.destroy(new Error('no answer came')))
  request.end(body)
  try {
    return understand(await textOf(await promise), url)
  } catch (cause) {
    if (cause instanceof SystemError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SystemError('RM_STATUS', `${url.host} cannot be asked: ${why}`, { cause })
  }
}

/** Nothing without a password. @throws ConfigError RM_SECRET_UNREADABLE */
function login(user: string | undefined): Readonly<Record<string, string>> {
  const { env } = process
  const [value, file] = [env['RESPMESH_ADMIN_PASSWORD'], env['RESPMESH_ADMIN_PASSWORD_FILE']]
  if (value === undefined && file === undefined) return {}
  const password = file === undefined ? value : readSecret({ file }, env).reveal()
  const name = user ?? env['RESPMESH_ADMIN_USERNAME'] ?? 'default'
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` }
}

function understand(text: string, url: URL): CommandAnswer {
  const value = JSON.parse(text) as Partial<{ ok: boolean; error: string }> | null
  if (value?.ok === true) return { ok: true }
  if (typeof value?.error === 'string') return { ok: false, error: value.error }
  throw new SystemError('RM_STATUS', `${url.host} is not the admin port of a sidecar`)
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk
    if (text.length > statusBytesMax) throw new Error('its answer has no end')
  }
  return text
}
