import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplyPath } from './reply-path.ts'

const quoted = (reply: string) => `<${reply}>`

/** What the client gets for `replies` that come in pieces of `size` bytes, each alone. */
function passed(path: ReplyPath, replies: readonly string[], size: number): string {
  let text = ''
  for (const reply of replies) {
    for (let at = 0; at < reply.length; at += size) {
      const isEnd = at + size >= reply.length
      const bytes = Buffer.from(reply.slice(at, at + size), 'latin1')
      text += path.pass(bytes, isEnd ? 1 : 0).toString('latin1')
    }
  }
  return text
}

for (const size of [1, 3, 100]) {
  test(`a reply that is looked at can be changed too, in pieces of ${size}`, () => {
    const path = new ReplyPath()
    const done: string[] = []
    path.rewriteNext(quoted)
    path.expect({ isWanted: false, onDone: () => done.push('asking') })
    path.expect({ isWanted: true, onDone: () => done.push('asked') })
    assert.equal(passed(path, ['+OK\r\n', '$3\r\none\r\n'], size), '<$3\r\none\r\n>')
    assert.deepEqual(done, ['asking', 'asked'])
    assert.ok(path.isPlain)
    assert.equal(passed(path, ['$3\r\ntwo\r\n'], size), '$3\r\ntwo\r\n')
  })

  test(`an error that is kept from the client leaves the change to the next reply, in pieces of ${size}`, () => {
    const path = new ReplyPath()
    path.rewriteNext(quoted)
    path.expect({ isWanted: true, onError: () => Buffer.alloc(0) })
    assert.equal(passed(path, ['-MOVED 1 a:1\r\n', ':1\r\n'], size), '<:1\r\n>')
    assert.ok(path.isPlain)
  })
}
