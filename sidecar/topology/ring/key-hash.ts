/**
 * The number by which a key finds its place on the ring, equal to twemproxy’s of the same name. Pure.
 *
 * `fnv1a_64` is what twemproxy calls so and uses unless told otherwise: the low 32 bits of FNV-1a with the constants of
 * 64 bits, over bytes that are signed. `md5` is that of libmemcached: the first four bytes of the digest.
 */
import { hash } from 'node:crypto'

export type KeyHash = 'fnv1a_64' | 'md5'

/** From 0 to 2^32 - 1, of the bytes from `start` to `end`. */
export type HashKey = (bytes: Buffer, start: number, end: number) => number

const fnvInit = 0x84222325
const fnvPrime = 0x1b3

function fnv1a(bytes: Buffer, start: number, end: number): number {
  let value = fnvInit
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number
    value = Math.imul(value ^ ((byte << 24) >> 24), fnvPrime)
  }
  return value >>> 0
}

function md5(bytes: Buffer, start: number, end: number): number {
  return md5Of(bytes.subarray(start, end)).readUInt32LE(0)
}

export function md5Of(bytes: Buffer | string): Buffer {
  return hash('md5', bytes, 'buffer')
}

export const keyHashes: Readonly<Record<KeyHash, HashKey>> = { fnv1a_64: fnv1a, md5 }
