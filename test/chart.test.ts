/** The chart as files: what can be checked without Helm. The e2e installs it. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { version } from '../common/version.ts'
import { flags } from '../operator/options.ts'

const chart = join(import.meta.dirname, '..', 'charts', 'respmesh')
const read = (...parts: readonly string[]) => readFileSync(join(chart, ...parts), 'utf8')
const values = parse(read('values.yaml')) as Record<string, unknown>
const validate = new Ajv({ strict: false }).compile(
  JSON.parse(read('values.schema.json')) as object,
)

test('the default values are valid', () => {
  assert.ok(validate(values), JSON.stringify(validate.errors))
})

test('a value that does not exist, or is of the wrong kind, is refused', () => {
  const wrong = [
    { replica: 2 },
    { replicas: 'two' },
    { image: { tags: 'x' } },
    { injection: { failurePolicy: 'Maybe' } },
    { image: { digest: 'sha256:12' } },
  ]
  for (const value of wrong) assert.ok(!validate(value), JSON.stringify(value))
})

test('every value is in the README of the chart', () => {
  const readme = read('README.md')
  const paths = Object.entries(values).flatMap(([key, value]) => {
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    const children = isGroup ? Object.keys(value) : []
    return children.length === 0 || key === 'resources'
      ? [key]
      : children.map((child) => `${key}.${child}`)
  })
  assert.deepEqual(
    paths.filter((path) => !readme.includes(`\`${path}\``)),
    [],
  )
})

test('the chart has the version of the program', () => {
  const { appVersion } = parse(read('Chart.yaml')) as { appVersion: string }
  assert.equal(appVersion, version)
})

test('the Deployment gives only flags that the operator has', () => {
  const given = [...read('templates', 'deployment.yaml').matchAll(/^\s+- --([a-z-]+)=/gm)]
  assert.ok(given.length > 3)
  for (const [, name = ''] of given) assert.ok(name in flags, name)
})

test('no rule of the chart has a wildcard', () => {
  const templates = readdirSync(join(chart, 'templates')).map((name) => read('templates', name))
  for (const text of templates) assert.doesNotMatch(text, /(?:verbs|resources|apiGroups): .*\*/)
})
