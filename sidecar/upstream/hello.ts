/** What a server said to HELLO. */
import type { Reply } from '../resp/decode.ts'

/** What the server calls the connection; 0 if it did not say. */
export function connectionIdOf(hello: Reply): number {
  const items = hello.kind === 'list' ? hello.items : []
  const at = items.findIndex((item) => item.kind === 'text' && item.text === 'id')
  const value = items[at + 1]
  return at >= 0 && value?.kind === 'number' ? value.value : 0
}
