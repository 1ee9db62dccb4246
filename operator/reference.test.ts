/** What `docs/reference` says of the operator is what it has. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { injectKey, injectedKey } from './api/redis-proxy.ts'
import { resourceAnnotations } from './inject/annotations.ts'
import { proxyLabel } from './inject/layout.ts'
import { operatorMetrics } from './metrics.ts'
import { flags, readFlags, resolveOptions } from './options.ts'

const reference = (name: string) =>
  readFileSync(join(import.meta.dirname, '..', 'docs', 'reference', name), 'utf8')
const firstCells = (text: string, pattern: RegExp) =>
  [...text.matchAll(/^\| `([^`]+)`/gm)]
    .map((match) => match[1] ?? '')
    .filter((cell) => pattern.test(cell))

test('every flag of the operator is documented with its default', () => {
  const text = reference('operator.md')
  assert.deepEqual(
    firstCells(text, /^--/),
    Object.keys(flags).map((name) => `--${name}`),
  )
  for (const [name, flag] of Object.entries(flags)) {
    const initial = 'initial' in flag ? ` (\`${flag.initial}\`)` : ''
    assert.ok(text.includes(`| \`--${name}\` | \`${flag.value}\` | ${flag.help}${initial} |`), name)
  }
})

test('every metric of the operator is documented', () => {
  const text = reference('operator.md')
  assert.deepEqual(
    firstCells(text, /^respmesh_/),
    operatorMetrics.map(({ name }) => name),
  )
  for (const { name, type, labels = [], help } of operatorMetrics) {
    const shown = labels.map((label) => `\`${label}\``).join(', ')
    assert.ok(text.includes(`| \`${name}\` | ${type} | ${shown} | ${help} |`), name)
  }
})

test('every label and annotation is documented, and none that does not exist', () => {
  const known = [injectKey, injectedKey, proxyLabel, ...Object.keys(resourceAnnotations)]
  const documented = firstCells(reference('annotations.md'), /^respmesh\.io\//)
  assert.deepEqual(documented.toSorted(), known.toSorted())
})

const around = { env: {}, contextNamespace: undefined, fallbackIdentity: 'here-1' }

test('flags win over the environment, and both over the defaults', () => {
  const { given } = readFlags(['--image', 'i', '--namespace', 'a', '--log-level', 'debug'])
  const env = { POD_NAMESPACE: 'b', POD_NAME: 'pod-1', RESPMESH_LOG_LEVEL: 'warn' }
  const options = resolveOptions(given, { ...around, env })
  assert.equal(options.namespace, 'a')
  assert.equal(options.identity, 'pod-1')
  assert.equal(options.logLevel, 'debug')
  assert.equal(options.streamUrl, 'https://respmesh-operator.a.svc:8443')
  assert.equal(resolveOptions({ image: 'i' }, { ...around, env }).namespace, 'b')
})

test('a command line that is wrong is refused with the flag named', () => {
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['--imagee', 'x'], /--imagee/],
    [[], /--image is missing/],
    [['--image', 'i', '--log-level', 'loud'], /--log-level is "loud"/],
    [['--image', 'i', '--stream-url', 'http://x'], /--stream-url/],
    [['--image', 'i', '--image-pull-policy', 'Sometimes'], /--image-pull-policy/],
  ]
  for (const [args, message] of wrong) {
    assert.throws(() => resolveOptions(readFlags(args).given, around), message)
  }
  assert.ok(resolveOptions({ 'webhook-config': '' }, around))
})
