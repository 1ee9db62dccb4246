/** The slot of a key in a Redis or Valkey cluster: CRC-16/XMODEM of the key, or of its hash tag, over 16384 slots. */

export const slotCount = 16_384

const table = new Uint16Array(256)
for (let byte = 0; byte < 256; byte += 1) {
  let value = byte << 8
  for (let bit = 0; bit < 8; bit += 1) {
    value = (value & 0x8000) === 0 ? value << 1 : (value << 1) ^ 0x1021
  }
  table[byte] = value
}

const braceOpen = 123
const braceClose = 125

/** CRC-16/XMODEM of the bytes from `start` to `end`. */
export function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0
  for (let at = start; at < end; at += 1) {
    crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ (bytes[at] as number)] as number)
  }
  return crc
}

/** The slot of the key in `bytes` from `start` to `end`. */
export function keySlot(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] as number
    if (byte === braceOpen) return taggedSlot(bytes, start, { open: at, end })
    crc = ((crc << 8) & 0xffff) ^ (table[(crc >> 8) ^ byte] as number)
  }
  return crc & 16_383
}

/** The same of a key that has a brace. */
function taggedSlot(
  bytes: Uint8Array,
  start: number,
  { open, end }: { readonly open: number; readonly end: number },
): number {
  let close = open + 1
  while (close < end && bytes[close] !== braceClose) close += 1
  const hasTag = close < end && close > open + 1
  return hasTag ? crc16(bytes, open + 1, close) & 16_383 : crc16(bytes, start, end) & 16_383
}

/** Where the part of a key is that is hashed. One value is reused, so that nothing is allocated. */
export interface HashedPart {
  start: number
  end: number
}

/**
 * Finds the hash tag of a key, between the first `open` byte and the next `close` byte; the whole key if there is none
 * or it is empty. For rings, whose tags may be other than braces.
 */
export function findHashTag(
  bytes: Uint8Array,
  part: HashedPart,
  tag: { readonly open: number; readonly close: number },
): void {
  const { start, end } = part
  let open = start
  while (open < end && bytes[open] !== tag.open) open += 1
  if (open === end) return
  let close = open + 1
  while (close < end && bytes[close] !== tag.close) close += 1
  if (close === end || close === open + 1) return
  part.start = open + 1
  part.end = close
}
