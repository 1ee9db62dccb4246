import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Secret, readSecret } from './secret.ts'

test('a secret shows in no printed form', () => {
  const secret = new Secret('hunter2')
  for (const shown of [`${secret}`, JSON.stringify({ secret }), inspect({ secret })]) {
    assert.ok(!shown.includes('hunter2'), shown)
  }
  assert.equal(secret.reveal(), 'hunter2')
})

test('a file is read anew each time, less its final newline', () => {
  const directory = mkdtempSync(join(tmpdir(), 'respmesh-secret-'))
  try {
    const file = join(directory, 'password')
    writeFileSync(file, 'one \n')
    assert.equal(readSecret({ file }, {}).reveal(), 'one ')
    writeFileSync(file, 'two')
    assert.equal(readSecret({ file }, {}).reveal(), 'two')
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('what cannot be read is named', () => {
  assert.throws(() => readSecret({ env: 'NOPE' }, {}), /NOPE is not set/)
  assert.throws(() => readSecret({ file: '/nonexistent/x' }, {}), { code: 'RM_SECRET_UNREADABLE' })
})
