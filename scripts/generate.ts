/**
 * Makes every generated file from its source. `npm run generate` writes them; with `--check` it only compares,
 * prints the stale ones and exits 1; with `--collect` it first asks the servers that it can get for their commands.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { generatedFiles } from './generate/files.ts'

const root = join(import.meta.dirname, '..')
const isCheck = process.argv.includes('--check')
const stale: string[] = []

if (process.argv.includes('--collect')) {
  const { collectAll } = await import('./generate/commands-collect.ts')
  for (const missing of await collectAll()) console.error(missing)
}

for (const file of await generatedFiles()) {
  const path = join(root, file.path)
  const current = await readFile(path, 'utf8').catch(() => undefined)
  if (current === file.content) continue
  stale.push(file.path)
  if (isCheck) continue
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, file.content)
}

if (isCheck && stale.length > 0) {
  console.error(`stale: ${stale.join(', ')}; run npm run generate`)
  process.exitCode = 1
} else {
  console.log(stale.length === 0 ? 'all generated files are fresh' : `written: ${stale.join(', ')}`)
}
