/** Shared bearer tokens, for control planes on loopback: random, compared in constant time. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Authentication } from './server.ts'

export function createToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Accepts exactly `token`, for any key; the sidecar's hello tells who it is. */
export function sharedTokenAuthentication(
  token: string,
): (presented: string) => Promise<Authentication> {
  const expected = digest(token)
  return async (presented) =>
    timingSafeEqual(digest(presented), expected)
      ? { ok: true }
      : { ok: false, reason: 'unauthenticated' }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
