/** The settings about servers and passwords. A password never becomes part of a configuration: only its place does. */
import type { Credentials, SecretRef } from '../../common/contract/proxy-config.ts'
import { ConfigError } from '../../common/errors.ts'
import { type ServerUrl, parseServerUrl } from '../../common/redis/url.ts'
import type { Overrides } from './overrides.ts'
import type { Problems } from './problems.ts'
import { type Given, type GivenSettings, redactUrls, settings } from './settings.ts'

/** Names under which what stood in a URL is found in the environment that is handed to the data path. */
const urlUsername = 'url_username'
const urlPassword = 'url_password'

const tlsNames = ['tlsCaFile', 'tlsVerify', 'tlsServerName', 'tlsCertFile', 'tlsKeyFile'] as const

export interface ReadUpstream {
  readonly overrides: Pick<Overrides, 'upstream' | 'credentials'>
  readonly secrets: Readonly<Record<string, string>>
}

export function readUpstream(given: GivenSettings, problems: Problems): ReadUpstream {
  const named = readCredentials('upstream', given, problems)
  const credentials = named === undefined ? {} : { credentials: named }
  if (given.upstream === undefined) {
    for (const name of tlsNames) {
      const setting = given[name]
      if (setting !== undefined) problems.add(setting, 'it needs servers named by --upstream')
    }
    return { overrides: credentials, secrets: {} }
  }
  const urls = readUrls(given.upstream, problems)
  const [first] = urls
  if (first === undefined) return { overrides: credentials, secrets: {} }
  const tls = readTls(first.isTls, given, problems)
  const members = urls.map(({ host, port }) => ({ host, port }))
  const upstream = tls === undefined ? { members } : { members, tls }
  const fromUrl = urlCredentials(urls)
  if (fromUrl === undefined || first.password === undefined) {
    if (urls.some((url) => url.username !== undefined)) {
      problems.add(given.upstream, 'a user without a password; give it as USER:PASSWORD@HOST')
    }
    return { overrides: { upstream, ...credentials }, secrets: {} }
  }
  if (named !== undefined && !given.upstream.isFlag) {
    problems.add(
      given.upstream,
      `the password is given here and by another variable; give it once, best by ${settings.upstreamPasswordFile.env}`,
    )
  }
  return {
    overrides: { upstream, credentials: fromUrl },
    secrets: {
      [urlPassword]: first.password.reveal(),
      ...(first.username !== undefined && { [urlUsername]: first.username }),
    },
  }
}

function readUrls(given: Given, problems: Problems): readonly ServerUrl[] {
  const urls: ServerUrl[] = []
  for (const part of given.value.split(',')) {
    try {
      urls.push(parseServerUrl(part.trim()))
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.add(given, whyUnusable(given.value, error))
      return []
    }
  }
  const [first] = urls
  const identity = (url: ServerUrl) =>
    JSON.stringify([url.isTls, url.username, url.password?.reveal()])
  if (first !== undefined && urls.some((url) => identity(url) !== identity(first))) {
    problems.add(given, 'all servers must have the same scheme, user and password')
  }
  const places = new Set(urls.map(({ host, port }) => `${host} ${port}`))
  if (places.size < urls.length) problems.add(given, 'a server is named twice')
  return urls
}

/** The parser’s reason; where a password may have been cut apart at a comma, only a general one. */
function whyUnusable(value: string, error: ConfigError): string {
  if (value.includes('@')) {
    return 'expected redis://USER:PASSWORD@HOST:PORT; special characters in user and password are written %XX (a comma is %2C)'
  }
  return redactUrls(error.message)
}

function urlCredentials(urls: readonly ServerUrl[]): Credentials | undefined {
  const [first] = urls
  if (first?.password === undefined) return undefined
  return {
    ...(first.username !== undefined && { username: { env: urlUsername } }),
    password: { env: urlPassword },
  }
}

function readTls(isTls: boolean, given: GivenSettings, problems: Problems) {
  if (!isTls) {
    for (const name of tlsNames) {
      const setting = given[name]
      if (setting !== undefined) problems.add(setting, 'it needs rediss:// or valkeys:// addresses')
    }
    return undefined
  }
  const verify = given.tlsVerify
  if (verify !== undefined && !['true', 'false'].includes(verify.value)) {
    problems.add(verify, 'expected true or false')
  }
  const { tlsCertFile, tlsKeyFile } = given
  const lone = tlsCertFile ?? tlsKeyFile
  if (lone !== undefined && (tlsCertFile === undefined || tlsKeyFile === undefined)) {
    problems.add(lone, 'a client certificate needs both its file and its key’s file')
  }
  return {
    verify: verify?.value !== 'false',
    ...(given.tlsCaFile && { caFile: given.tlsCaFile.value }),
    ...(given.tlsServerName && { serverName: given.tlsServerName.value }),
    ...(tlsCertFile && { certFile: tlsCertFile.value }),
    ...(tlsKeyFile && { keyFile: tlsKeyFile.value }),
  }
}

export function readCredentials(
  whose: 'upstream' | 'client' | 'admin' | 'sentinel',
  given: GivenSettings,
  problems: Problems,
): Credentials | undefined {
  const username = readSecretRef(given[`${whose}Username`], given[`${whose}UsernameFile`], problems)
  const password = readSecretRef(given[`${whose}Password`], given[`${whose}PasswordFile`], problems)
  if (password === undefined) {
    if (username !== undefined) {
      const { env } = settings[`${whose}PasswordFile`]
      problems.note(`a user is given for the ${whose} and no password; set ${env}`)
    }
    return undefined
  }
  return username === undefined ? { password } : { username, password }
}

function readSecretRef(
  value: Given | undefined,
  file: Given | undefined,
  problems: Problems,
): SecretRef | undefined {
  if (value !== undefined && file !== undefined) {
    problems.note(`${value.origin} and ${file.origin} are both set; unset one of them`)
  }
  if (file !== undefined) return { file: file.value }
  return value === undefined ? undefined : { env: value.origin }
}
