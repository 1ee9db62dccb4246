/** The manifests of `examples/` are right, and the full one leaves no field out. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { parseManifests } from './manifest.ts'
import { specSchema } from './schema.ts'

const folder = join(import.meta.dirname, '../../examples')
const read = (name: string) => readFileSync(join(folder, name), 'utf8')

for (const name of readdirSync(folder).filter((file) => file.endsWith('.yaml'))) {
  test(`${name} is right`, () => {
    for (const document of parseAllDocuments(read(name))) assert.deepEqual(document.errors, [])
    const { proxies } = parseManifests(read(name), name)
    if (name === 'redisproxy-full-modes.yaml') assert.equal(proxies.length, 3)
    else assert.equal(proxies.length, name.startsWith('redisproxy') ? 1 : 0)
  })
}

interface Schema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
}

/** Dotted, down to the fields that have none below them; a list is its items. */
function fieldsOf(schema: Schema, path: string): string[] {
  const inner = schema.items ?? schema
  const entries = Object.entries(inner.properties ?? {})
  if (entries.length === 0) return [path]
  return entries.flatMap(([name, field]) => fieldsOf(field, `${path}.${name}`))
}

test('redisproxy-full.yaml and redisproxy-full-modes.yaml say something about every field of the spec', () => {
  const specs = ['redisproxy-full.yaml', 'redisproxy-full-modes.yaml'].flatMap((name) =>
    read(name)
      .split('\n---\n')
      .map((text) => (parse(text) as { spec?: unknown }).spec),
  )
  const said = (value: unknown, path: readonly string[]): boolean => {
    const [name, ...rest] = path
    if (name === undefined) return value !== undefined
    if (Array.isArray(value)) return value.some((item) => said(item, path))
    if (typeof value !== 'object' || value === null) return false
    return said((value as Record<string, unknown>)[name], rest)
  }
  const fields = fieldsOf(JSON.parse(JSON.stringify(specSchema)) as Schema, 'spec')
  assert.ok(fields.length > 30, fields.join(' '))
  assert.deepEqual(
    fields.filter((field) => !specs.some((spec) => said(spec, field.split('.').slice(1)))),
    [],
  )
})
