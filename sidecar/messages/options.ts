/** How messages are logged for a while. */
export interface MessageLogOptions {
  /** For how long; 0 ends it. */
  readonly seconds: number
  /** Lines at most. */
  readonly max: number
  /** How keys are shown: hashed (the same key has the same hash as long as this goes on), as they are, or not at all. */
  readonly keys: 'hash' | 'plain' | 'none'
  /** Makes hashes of keys mean nothing elsewhere. */
  readonly salt: string
}
