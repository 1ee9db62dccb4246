/**
 * Who may use the admin port. Health and metrics are open. Where users or an authority of certificates are configured,
 * everything else needs one of them; where not, everyone who reaches the port may read, and processes of the same
 * machine or pod may change something (`guard.ts`).
 */
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../common/clock.ts'
import type { AdminConfig } from '../../common/contract/proxy-config.ts'
import {
  adminAddressesMax,
  adminFailuresFree,
  adminForgetMs,
  adminWaitMaxMs,
  adminWaitStepMs,
} from '../../common/limits.ts'
import type { FileWatch } from '../../common/secret-files.ts'
import type { Environment } from '../config/index.ts'
import type { Authenticator } from '../policy/authentication.ts'
import { UserSource } from '../policy/authentication-source.ts'
import { isForeignPage, refusalOf } from './guard.ts'

export interface Refusal {
  readonly status: 401 | 403 | 429
  readonly error: string
}

export interface AccessModules {
  readonly files: FileWatch
  readonly env: Environment
  readonly clock: Clock
}

export class AdminAccess {
  private readonly users: UserSource
  private readonly throttle: GuessThrottle
  private authenticator: Authenticator | undefined
  private needsCertificate = false

  constructor({ files, env, clock }: AccessModules) {
    this.throttle = new GuessThrottle(clock)
    this.users = new UserSource({
      files,
      env,
      onChange: (authenticator) => {
        this.authenticator = authenticator
      },
    })
  }

  /** @throws ConfigError RM_SECRET_UNREADABLE; who was let in before stays let in then */
  use(config: AdminConfig): void {
    this.authenticator = this.users.use(config.users)
    this.needsCertificate = config.tls?.clientCaFile !== undefined
  }

  /** Why the request may not be answered, if it may not. Not for what is open to everyone. */
  refusal(request: IncomingMessage, isChange: boolean): Refusal | undefined {
    const { authenticator, needsCertificate } = this
    if (authenticator === undefined && !needsCertificate) {
      const error = isChange ? refusalOf(request) : undefined
      return error === undefined ? undefined : { status: 403, error }
    }
    // A browser adds what it was once told to requests of any page.
    if (isChange && isForeignPage(request)) {
      return { status: 403, error: 'web pages of other origins may not do this' }
    }
    if (needsCertificate && !(request.socket as TLSSocket).authorized) {
      return { status: 403, error: 'a client certificate of the configured authority is needed' }
    }
    return authenticator && this.checkLogin(request, authenticator)
  }

  private checkLogin(request: IncomingMessage, authenticator: Authenticator): Refusal | undefined {
    const address = request.socket.remoteAddress ?? ''
    const given = /^Basic ([A-Za-z0-9+/=_-]+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (given === undefined) return { status: 401, error: 'user and password are needed' }
    if (this.throttle.isWaiting(address)) {
      return { status: 429, error: 'too many wrong passwords from this address; try again later' }
    }
    const login = Buffer.from(given, 'base64')
    const colon = login.indexOf(':')
    const user = colon <= 0 ? undefined : login.subarray(0, colon)
    if (authenticator.accepts(user, login.subarray(colon + 1))) return undefined
    this.throttle.noteFailure(address)
    return { status: 401, error: 'wrong user or password' }
  }
}

interface Guesses {
  count: number
  lastMs: number
  waitsUntilMs: number
}

/** After some wrong passwords of an address, none of it is looked at for a time that grows with their number. */
class GuessThrottle {
  private readonly byAddress = new Map<string, Guesses>()
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  isWaiting(address: string): boolean {
    const guesses = this.byAddress.get(address)
    return guesses !== undefined && this.clock.monotonicMs() < guesses.waitsUntilMs
  }

  noteFailure(address: string): void {
    const now = this.clock.monotonicMs()
    const before = this.byAddress.get(address)
    const isForgotten = before === undefined || now - before.lastMs > adminForgetMs
    const count = isForgotten ? 1 : before.count + 1
    const waitMs = Math.min(adminWaitMaxMs, adminWaitStepMs * (count - adminFailuresFree))
    this.byAddress.delete(address)
    const oldest = this.byAddress.keys().next()
    if (this.byAddress.size >= adminAddressesMax && oldest.done !== true) {
      this.byAddress.delete(oldest.value)
    }
    this.byAddress.set(address, { count, lastMs: now, waitsUntilMs: now + waitMs })
  }
}
