/** Names that clients give themselves. */
import { clientNameBytesMax } from '../../common/limits.ts'
import { encodeError } from '../resp/encode.ts'

/** What the server says to a name with characters that would break its lists; undefined for a good one. */
export function nameError(name: string, what: string): Buffer | undefined {
  const isGood = name.length <= clientNameBytesMax && /^[!-~]*$/.test(name)
  if (isGood) return undefined
  return encodeError(`ERR ${what} cannot contain spaces, newlines or special characters.`)
}
