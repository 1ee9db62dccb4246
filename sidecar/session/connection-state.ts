/**
 * What a server keeps for a client’s own connection and another connection can be told again. The session’s name,
 * database and protocol belong to it too; they are needed more often and live in the session.
 */
import { Subscriptions } from './subscriptions.ts'

/** CLIENT TRACKING as it is in force. */
export interface Tracking {
  /** Options that stand alone: BCAST, OPTIN, OPTOUT, NOLOOP. */
  readonly options: readonly string[]
  readonly prefixes: ReadonlySet<string>
  /** The client that is told, by the id that it has with us, or by one that the server gave. */
  readonly redirect?: string
}

export class ConnectionState {
  libraryName = ''
  libraryVersion = ''
  isNoEvict = false
  isNoTouch = false
  isReadOnly = false
  isMonitoring = false
  tracking: Tracking | undefined
  /** What CLIENT CACHING said of the command that comes next. */
  caching: string | undefined
  /** Subscriptions that have connections of their own, beside that of the session. */
  linkedCount = 0
  readonly subscriptions = new Subscriptions()

  get hasFlags(): boolean {
    return this.isNoEvict || this.isNoTouch || this.isReadOnly
  }

  /** Whether something must be kept at the server even while the client asks for nothing. */
  get isStanding(): boolean {
    return this.isHeld || this.linkedCount > 0
  }

  /** Whether a connection has to be told of something. */
  get isHeld(): boolean {
    const { tracking, subscriptions } = this
    const isAwaited = tracking !== undefined || subscriptions.count > 0
    return isAwaited || this.isMonitoring || this.hasFlags
  }

  /** What tells a new connection of all but the subscriptions and MONITOR. Each is answered once. */
  commands(): string[][] {
    const { libraryName, libraryVersion, tracking, caching } = this
    const when = (isWanted: boolean, ...words: string[]) => (isWanted ? [words] : [])
    return [
      ...when(libraryName !== '', 'CLIENT', 'SETINFO', 'LIB-NAME', libraryName),
      ...when(libraryVersion !== '', 'CLIENT', 'SETINFO', 'LIB-VER', libraryVersion),
      ...when(this.isReadOnly, 'READONLY'),
      ...when(this.isNoEvict, 'CLIENT', 'NO-EVICT', 'ON'),
      ...when(this.isNoTouch, 'CLIENT', 'NO-TOUCH', 'ON'),
      ...when(tracking !== undefined, 'CLIENT', 'TRACKING', 'ON', ...trackingWords(tracking)),
      ...when(caching !== undefined, 'CLIENT', 'CACHING', caching ?? ''),
    ]
  }

  /** Forgets everything, as RESET does; the library’s name is not the connection’s to forget. */
  clear(): void {
    this.isNoEvict = false
    this.isNoTouch = false
    this.isReadOnly = false
    this.isMonitoring = false
    this.tracking = undefined
    this.caching = undefined
    this.subscriptions.clear()
  }
}

function trackingWords(tracking: Tracking | undefined): string[] {
  if (tracking === undefined) return []
  const { options, prefixes, redirect } = tracking
  return [
    ...(redirect === undefined ? [] : ['REDIRECT', redirect]),
    ...options,
    ...[...prefixes].flatMap((prefix) => ['PREFIX', prefix]),
  ]
}

/** The state that a CLIENT TRACKING ON with these words, all after ON, leads to from `before`. */
export function trackingAfter(words: readonly string[], before: Tracking | undefined): Tracking {
  const options: string[] = []
  const prefixes = new Set(before?.prefixes)
  let redirect: string | undefined
  for (let index = 0; index < words.length; index += 1) {
    const word = (words[index] ?? '').toUpperCase()
    if (word === 'PREFIX' || word === 'REDIRECT') {
      index += 1
      const value = words[index] ?? ''
      if (word === 'PREFIX') prefixes.add(value)
      else if (value !== '0') redirect = value
    } else options.push(word)
  }
  return { options, prefixes, ...(redirect !== undefined && { redirect }) }
}
