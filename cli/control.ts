/**
 * `respmesh pause`, `resume`, `reload` and the like: one command to the admin port of a sidecar, and its answer. It logs in
 * with the same variables that a sidecar reads.
 */
import { parseArgs } from 'node:util'
import { ConfigError } from '../common/errors.ts'
import { controlTimeoutMs } from '../common/limits.ts'
import { askAdmin, failed } from './admin-port.ts'

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
  const url = urlOf(values.admin ?? urlDefault, word)
  const asked = await askAdmin(url, values, { form: fields, timeoutMs: controlTimeoutMs })
  const answer = understand(asked.text, url)
  if (answer.ok) return 0
  for (const line of answer.error.split('; ')) console.error(`respmesh ${word}: ${line}`)
  return 1
}

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

function understand(text: string, url: URL): CommandAnswer {
  const value = parse(text) as Partial<{ ok: boolean; error: string }> | null | undefined
  if (value?.ok === true) return { ok: true }
  if (typeof value?.error === 'string') return { ok: false, error: value.error }
  throw failed(url, 'it is not the admin port of a sidecar')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
