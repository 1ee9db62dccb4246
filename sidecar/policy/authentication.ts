/**
 * Who may connect. Names and passwords are compared as hashes, in time that does not depend on where they differ;
 * guesses are slowed per address.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import {
  authAddressesMax,
  authFailuresFree,
  authForgetMs,
  authSlowMs,
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
  nextAttemptMs: number
}

/** Attempts of an address that has failed often are spaced; those of others are not touched. */
export class AuthThrottle {
  private readonly byAddress = new Map<string, Failures>()

  /** How long this attempt must wait before it is looked at; reserves its place. */
  delayMs(address: string, nowMs: number): number {
    const failures = this.byAddress.get(address)
    if (failures === undefined || failures.count < authFailuresFree) return 0
    if (nowMs - failures.lastMs > authForgetMs) {
      this.byAddress.delete(address)
      return 0
    }
    const at = Math.max(nowMs, failures.nextAttemptMs)
    failures.nextAttemptMs = at + authSlowMs
    return at - nowMs
  }

  noteFailure(address: string, nowMs: number): void {
    const known = this.byAddress.get(address)
    if (known !== undefined) {
      known.count += 1
      known.lastMs = nowMs
      if (known.nextAttemptMs < nowMs) known.nextAttemptMs = nowMs + authSlowMs
      return
    }
    if (this.byAddress.size >= authAddressesMax) {
      const oldest = this.byAddress.keys().next()
      if (oldest.done !== true) this.byAddress.delete(oldest.value)
    }
    this.byAddress.set(address, { count: 1, lastMs: nowMs, nextAttemptMs: nowMs })
  }
}
