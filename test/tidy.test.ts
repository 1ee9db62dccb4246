/**
 * Rules about the tree that no linter of ours can express: sizes, arrows between parts, words that have no
 * place here, and that everything with a code or a name for users is documented.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { errorCodes } from '../common/errors.ts'

const root = join(import.meta.dirname, '..')
const fileLinesMax = 400
const functionLinesMax = 60

/** Tracked and new files, less the ignored ones. */
const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && existsSync(join(root, file)))
const sources = files.filter((file) => file.endsWith('.ts') && !file.includes('/generated/'))
const read = (file: string) => readFileSync(join(root, file), 'utf8')

function check(
  name: string,
  find: (file: string, text: string) => readonly string[],
  among = sources,
) {
  test(name, () => {
    const found = among.flatMap((file) => find(file, read(file)).map((what) => `${file}: ${what}`))
    assert.deepEqual(found, [])
  })
}

check(`no source file is longer than ${fileLinesMax} lines`, (_file, text) => {
  const count = text.split('\n').length - 1
  return count > fileLinesMax ? [`${count} lines`] : []
})

check(
  `no function of the product is longer than ${functionLinesMax} lines`,
  (_file, text) => longFunctions(text),
  sources.filter((file) => !file.startsWith('test/') && !file.endsWith('.test.ts')),
)

/** Top-level and member functions by indentation, which the formatter guarantees. */
function longFunctions(text: string): string[] {
  const lines = text.split('\n')
  const opening =
    /^(\s*)(?:export |async |private |static |function |get |set |const \w+ = )*(\w+)\b.*(?:\)|=>|>) ?.*\{$/
  return lines.flatMap((line, start) => {
    const match = opening.exec(line)
    if (
      match === null ||
      !/function |=> \{$|^\s*(?:private |async |static |get |set )*#?\w+\(/.test(line)
    )
      return []
    const indent = match[1] ?? ''
    const length = lines.slice(start).findIndex((other) => other.startsWith(`${indent}}`)) + 1
    return length > functionLinesMax ? [`line ${start + 1}: ${length} lines`] : []
  })
}

const parts = ['common', 'sidecar', 'operator', 'cli'] as const
/** `cli` starts the other programs, each by its main module and only when asked. */
const allowed: Readonly<Record<(typeof parts)[number], readonly RegExp[]>> = {
  common: [/^common\//],
  sidecar: [/^(common|sidecar)\//],
  operator: [/^(common|operator)\//],
  cli: [
    /^(common|cli|operator\/api|operator\/local)\//,
    /^(sidecar|operator)\/(workers\/worker-)?main\.ts$/,
  ],
}
for (const part of parts) {
  check(
    `${part} imports only what it may`,
    (file, text) =>
      relativeImports(file, text).filter(
        (target) => !allowed[part].some((pattern) => pattern.test(target)),
      ),
    sources.filter((file) => file.startsWith(`${part}/`) && !file.endsWith('.test.ts')),
  )
}

function relativeImports(file: string, text: string): string[] {
  const found = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)]
  return found.map((match) => join(file, '..', match[1] ?? ''))
}

const packageDoors: readonly (readonly [RegExp, RegExp])[] = [
  [/^@kubernetes\//, /^(operator\/kube|cli|test)\//],
  [/^ioredis$/, /^(operator\/(backend|local)|test)\//],
  [/^pino$/, /^common\/log\.ts$/],
  [/^@prometheus-io\//, /^common\/(metrics\.ts|prometheus-client\.d\.ts)$/],
  [/^@peculiar\//, /^(operator\/pki|test)\//],
]
check('every dependency is behind its door', (file, text) => {
  const names = [...text.matchAll(/(?:from|import\()\s*'([^.'][^']*)'/g)].map(
    (match) => match[1] ?? '',
  )
  return names.filter((name) =>
    packageDoors.some(
      ([dependency, door]) =>
        dependency.test(name) && !door.test(file) && !file.endsWith('.test.ts'),
    ),
  )
})

check(
  'the pure parts of the sidecar do no IO',
  (_file, text) =>
    [
      ...text.matchAll(/from '(node:(?:net|fs|tls|http|https|dns|child_process|timers)[^']*)'/g),
    ].map((match) => match[1] ?? ''),
  sources.filter(
    (file) => /^sidecar\/(resp|policy|route)\//.test(file) && !file.endsWith('.test.ts'),
  ),
)

check(
  'nothing waits for a fixed time in a test',
  (_file, text) =>
    [
      ...text.matchAll(
        /setTimeout\(\s*r(?:es(?:olve)?)?\s*,|await (?:sleep|delay|setTimeout)\(\s*\d{3,}/g,
      ),
    ].map((match) => match[0]),
  sources.filter((file) => file.endsWith('.test.ts')),
)

check('a TODO names its issue', (file, text) =>
  file === 'test/tidy.test.ts'
    ? []
    : [...text.matchAll(/\b(?:TODO|FIXME|XXX)\b(?! #\d+).*/g)].map((match) => match[0]),
)

const product = files.filter(
  (file) => /\.(ts|mjs|js|md|yaml|yml|json|sh|tpl|txt)$/.test(file) && file !== 'package-lock.json',
)
check(
  'no file points at a machine’s own paths or at a registry’s host',
  (file, text) =>
    file === 'test/tidy.test.ts'
      ? []
      : [
          ...text.matchAll(
            /(?<![\w.])\/work\/|\.\.\/shared\/|https?:\/\/(?:registry|proxy|static|index|files|deb)\.[a-z]+/g,
          ),
        ].map((match) => match[0]),
  product,
)

test('every error code has a section in docs/errors.md, and none is there that does not exist', () => {
  const documented = [...read('docs/errors.md').matchAll(/^## (RM_\w+)$/gm)].map(
    (match) => match[1],
  )
  assert.deepEqual(documented.toSorted(), Object.keys(errorCodes).toSorted())
})

test('every error code is used', () => {
  const used = sources
    .filter((file) => file !== 'common/errors.ts')
    .map(read)
    .join('\n')
  assert.deepEqual(
    Object.keys(errorCodes).filter((code) => !used.includes(code)),
    [],
  )
})

test('every environment variable of the product is documented, and none that is not read', () => {
  const names = (text: string) => new Set(text.match(/\bRESPMESH_[A-Z][A-Z_]*[A-Z]\b/g) ?? [])
  const productSources = sources.filter((file) => /^(sidecar|operator|cli|common)\//.test(file))
  const used = names(productSources.map(read).join('\n'))
  const documented = names(read('docs/reference/environment.md'))
  assert.deepEqual([...used].filter((name) => !documented.has(name)).toSorted(), [])
  assert.deepEqual([...documented].filter((name) => !used.has(name)).toSorted(), [])
})

check(
  'links between documents lead somewhere',
  (file, text) =>
    [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)]
      .map((match) => match[1] ?? '')
      .filter((target) => !existsSync(join(root, file, '..', target))),
  files.filter((file) => file.endsWith('.md')),
)
