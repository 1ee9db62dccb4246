/**
 * Who may connect. Names and passwords are compared as hashes, in time that does not depend on where they differ;
 * guesses are slowed per address.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import {
  authAddressesMax,
  authBacklogMs,
  authFailuresFree,
  authForgetMs,
  authSlowMs,
  authSlowStepMs,
  authSpacingMs,
} from '../../common/limits.ts'
import type { Secret } from '../../common/secret.ts'

export interface User {
  /** Absent: the default user. */
  readonly username?: Secret
  readonly password: Secret
}

const defaultUser = 'default'

export class Authenticator {
  private readonly digests: readonly Buffer[]

  constructor(users: readonly User[]) {
    this.digests = users.map(({ username, password }) =>
      digestOf(Buffer.from(username?.reveal() ?? defaultUser), Buffer.from(password.reveal())),
    )
  }

  /** Whether a user of this name has this password. Every user is compared, whichever matches. */
  accepts(username: Buffer | undefined, password: Buffer): boolean {
    const given = digestOf(username ?? Buffer.from(defaultUser), password)
    let isAccepted = false
    for (const digest of this.digests) {
      if (timingSafeEqual(digest, given)) isAccepted = true
    }
    return isAccepted
  }
}

function digestOf(username: Buffer, password: Buffer): Buffer {
  const nameDigest = createHash('sha256').update(username).digest()
  return createHash('sha256').update(nameDigest).update(password).digest()
}

interface Failures {
  count: number
  lastMs: number
  /** When the last answer that waits will be given. */
  answeredMs: number
}

/**
 * How fast may be guessed. A password is looked at as it comes and a right one is accepted at once, since many apps
 * share an address and one of them must not lock out the others; the answer to a wrong one waits. It keeps its place
 * among the answers that wait even if its client is gone, and when these are too many no password of the address is
 * looked at: leaving early to try the next one gains nothing.
 */
export class AuthThrottle {
  private readonly byAddress = new Map<string, Failures>()

  /** How long before a password of this address may be looked at; then ask again. */
  waitMs(address: string, nowMs: number): number {
    const failures = this.byAddress.get(address)
    return failures === undefined ? 0 : Math.max(0, failures.answeredMs - nowMs - authBacklogMs)
  }

  /** Notes a wrong password, the `count`th of its connection. How long its answer waits. */
  failureDelayMs(address: string, count: number, nowMs: number): number {
    const failures = this.failuresOf(address, nowMs)
    failures.count += 1
    failures.lastMs = nowMs
    const slowCount = count - authFailuresFree
    const own = slowCount > 0 ? authSlowMs + (slowCount - 1) * authSlowStepMs : 0
    if (failures.count <= authFailuresFree) return own
    failures.answeredMs = Math.max(nowMs, failures.answeredMs + authSpacingMs)
    return Math.max(own, failures.answeredMs - nowMs)
  }

  private failuresOf(address: string, nowMs: number): Failures {
    const known = this.byAddress.get(address)
    if (known !== undefined) {
      if (nowMs - known.lastMs > authForgetMs) known.count = 0
      return known
    }
    if (this.byAddress.size >= authAddressesMax) {
      const oldest = this.byAddress.keys().next()
      if (oldest.done !== true) this.byAddress.delete(oldest.value)
    }
    const added = { count: 0, lastMs: nowMs, answeredMs: Number.NEGATIVE_INFINITY }
    this.byAddress.set(address, added)
    return added
  }
}
