import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplyError, replyCodeOf } from './connection.ts'
import { renamed } from './names.ts'

test('an error says what a server said, less what it repeats of the command', () => {
  const texts = [
    "ERR unknown command 'CONFIG', with args beginning with: 'SET' 'masterauth' 'geheim' ",
    'ERR unknown command `CONFIG`, with args beginning with: `SET`, `masterauth`, `geh',
  ]
  for (const text of texts) {
    const error = new ReplyError(new Error(text))
    assert.match(error.message, /^ERR unknown command .CONFIG.$/)
    assert.doesNotMatch(error.stack ?? '', /geh/)
    assert.equal(replyCodeOf(error), 'ERR')
  }
  const other = new ReplyError(new Error("NOPERM User respmesh may not run 'acl|setuser'"))
  assert.equal(other.message, "NOPERM User respmesh may not run 'acl|setuser'")
})

test('only what was renamed has another name', () => {
  const names = { replicaof: 'follow', acl: 'lists' }
  assert.equal(renamed('REPLICAOF', names), 'follow')
  assert.equal(renamed('SLAVEOF', names), 'follow')
  assert.equal(renamed('ACL', names), 'lists')
  assert.equal(renamed('CONFIG', names), 'CONFIG')
  assert.equal(renamed('INFO', names), 'INFO')
  assert.equal(renamed('REPLICAOF'), 'REPLICAOF')
})
