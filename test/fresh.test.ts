/** Generated files are what their sources make of them today. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { generatedFiles } from '../scripts/generate/files.ts'

const root = join(import.meta.dirname, '..')

for (const file of await generatedFiles()) {
  test(`${file.path} is fresh`, async () => {
    const current = await readFile(join(root, file.path), 'utf8').catch(() => '')
    assert.ok(current === file.content, `${file.path} is stale: run npm run generate`)
  })
}
