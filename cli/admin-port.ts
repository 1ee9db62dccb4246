/** Asking the admin port of a sidecar: over HTTP or HTTPS, with the variables that a sidecar reads for its login. */
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { SystemError } from '../common/errors.ts'
import { http, loadHttps } from '../common/http.ts'
import { statusBytesMax, statusTimeoutMs } from '../common/limits.ts'
import { readSecret } from '../common/secret.ts'

/** As given on the command line; files are PEM. */
export interface AdminLogin {
  readonly user?: string | undefined
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** The text that `url` answers. @throws SystemError RM_STATUS if it does not, ConfigError RM_SECRET_UNREADABLE */
export async function readAdmin(url: URL, login: AdminLogin): Promise<string> {
  const { status, text } = await askAdmin(url, login, { timeoutMs: statusTimeoutMs })
  if (status === 200) return text
  throw failed(url, `${status} ${text.slice(0, shownLengthMax).trim()}`)
}

/**
 * What `url` answers, whatever the status; a form is posted.
 * @throws SystemError RM_STATUS if nothing comes, ConfigError RM_SECRET_UNREADABLE
 */
export async function askAdmin(
  url: URL,
  login: AdminLogin,
  { form, timeoutMs }: { readonly form?: URLSearchParams; readonly timeoutMs: number },
): Promise<{ readonly status: number; readonly text: string }> {
  const isSecure = url.protocol === 'https:'
  const file = (path: string | undefined) => path && readFileSync(path)
  const headers = {
    ...headersOf(login.user),
    ...(form && { 'content-type': 'application/x-www-form-urlencoded' }),
  }
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  try {
    const options = {
      method: form === undefined ? 'GET' : 'POST',
      timeout: timeoutMs,
      headers,
      ...(isSecure && { ca: file(login.ca), cert: file(login.cert), key: file(login.key) }),
    }
    const request = (isSecure ? loadHttps() : http).request(url, options, resolve)
    request.on('error', reject).on('timeout', () => request.destroy(new Error('no answer came')))
    request.end(form?.toString())
    const response = await promise
    return { status: response.statusCode ?? 0, text: await textOf(response) }
  } catch (cause) {
    throw failed(url, cause instanceof Error ? cause.message : String(cause), cause)
  }
}

const shownLengthMax = 200

/** Nothing without a password. @throws ConfigError RM_SECRET_UNREADABLE */
function headersOf(user: string | undefined): Readonly<Record<string, string>> {
  const { env } = process
  const [value, file] = [env['RESPMESH_ADMIN_PASSWORD'], env['RESPMESH_ADMIN_PASSWORD_FILE']]
  if (value === undefined && file === undefined) return {}
  const password = file === undefined ? value : readSecret({ file }, env).reveal()
  const name = user ?? env['RESPMESH_ADMIN_USERNAME'] ?? 'default'
  return { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > statusBytesMax) throw new Error('its answer has no end')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

export function failed(url: URL, why: string, cause?: unknown): SystemError {
  return new SystemError('RM_STATUS', `${url.host} cannot be asked: ${why}`, { cause })
}
