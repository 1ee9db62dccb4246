/** Whether CONFIG GET would give credentials of the server away: its arguments are patterns. */
import { secretSettings } from './default-policy.ts'

/** Longer ones may have been cut where they were read. */
const patternLengthMax = 63

/** Whether the lower-case pattern may match the name of such a setting; in doubt it does. */
export function mayNameSecret(pattern: string): boolean {
  if (pattern.length > patternLengthMax || /[[\]\\]/.test(pattern)) return true
  if (!/[*?]/.test(pattern)) return secretSettings.includes(pattern)
  return secretSettings.some((name) => matches(pattern, name))
}

/** `*` stands for any characters, `?` for one. Linear in both for every `*`, so that no pattern takes long. */
function matches(pattern: string, name: string): boolean {
  let at = 0
  let star = -1
  let retry = 0
  for (let index = 0; index < name.length; ) {
    const wanted = pattern[at]
    if (wanted === '*') {
      star = at
      retry = index
      at += 1
    } else if (wanted === '?' || wanted === name[index]) {
      at += 1
      index += 1
    } else if (star >= 0) {
      at = star + 1
      retry += 1
      index = retry
    } else return false
  }
  return /^\**$/.test(pattern.slice(at))
}
