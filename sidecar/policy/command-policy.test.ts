import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCommandFile } from '../../scripts/generate/commands.ts'
import { isContainerCommand } from '../../common/redis/command-table.ts'
import { CommandPolicy, type PolicyQuestion, refusalText } from './command-policy.ts'
import { defaultDecisions, secretSettings } from './default-policy.ts'
import { mayNameSecret } from './secret-settings.ts'

function ask(text: string, isAdmin = false): PolicyQuestion {
  const words = text.toUpperCase().split(' ')
  const [name = ''] = words
  return {
    name,
    isContainer: isAdmin || isContainerCommand(name),
    isAdmin,
    argumentCount: words.length,
    word: (index) => words[index] ?? '',
  }
}

const cases: readonly (readonly [
  allow: string,
  deny: string,
  command: string,
  refused: string | undefined,
])[] = [
  ['', '', 'get k', undefined],
  ['', '', 'shutdown nosave', 'shutdown'],
  ['', '', 'config set a b', 'config|set'],
  ['', '', 'config get maxmemory', undefined],
  ['', '', 'config get requirepass', 'config|get'],
  ['', '', 'config get maxmemory *pass', 'config|get'],
  ['', '', 'cluster info', undefined],
  ['', '', 'cluster reset', 'cluster|reset'],
  ['', '', 'cluster of-tomorrow', 'cluster|of-tomorrow'],
  ['', '', 'cluster', 'cluster'],
  ['', '', 'client list', undefined],
  ['', '', 'client kill id 1', 'client|kill'],
  ['', '', 'flushall', undefined],
  ['', '', 'of-tomorrow', undefined],
  ['config|set', '', 'config set a b', undefined],
  ['config|set', '', 'config rewrite', 'config|rewrite'],
  ['config', '', 'config rewrite', undefined],
  ['config', '', 'config get requirepass', undefined],
  ['config|get', '', 'config get *', undefined],
  ['config', 'config|set', 'config set a b', 'config|set'],
  ['config', 'config|set', 'config rewrite', undefined],
  ['config|set', 'config', 'config set a b', undefined],
  ['config|set', 'config', 'config get a', 'config|get'],
  ['*', '', 'shutdown', undefined],
  ['*', '', 'cluster reset', undefined],
  ['*', '', 'config get requirepass', undefined],
  ['*', 'shutdown', 'shutdown', 'shutdown'],
  ['*', 'config|set', 'config set a b', 'config|set'],
  ['*', 'config|set', 'config get a', undefined],
  ['', 'keys', 'keys *', 'keys'],
  ['', 'keys', 'get k', undefined],
  ['', '*', 'get k', 'get'],
  ['', '*', 'of-tomorrow', 'of-tomorrow'],
  ['', '*', 'auth p', undefined],
  ['', '*', 'hello 3', undefined],
  ['get', '*', 'get k', undefined],
  ['get', '*', 'set k v', 'set'],
  ['config|get', '*', 'config get a', undefined],
  ['config|get', '*', 'config set a b', 'config|set'],
  ['client', '*', 'client kill id 1', undefined],
  ['debug', 'debug', 'debug sleep 0', 'debug'],
  ['of-tomorrow', '*', 'of-tomorrow', undefined],
]

for (const [allow, deny, command, refused] of cases) {
  const lists = [allow && `allow ${allow}`, deny && `deny ${deny}`].filter(Boolean).join(', ')
  const fate = refused === undefined ? 'passes' : `is refused as ${refused}`
  test(`with ${lists || 'the defaults'}: ${command} ${fate}`, () => {
    const list = (text: string) => text.split(' ').filter(Boolean)
    const policy = new CommandPolicy({ allow: list(allow), deny: list(deny) })
    assert.equal(policy.refusal(ask(command)), refused)
    if (refused === undefined) return
    const name = ask(command).name
    assert.ok(policy.refusesOthers || policy.names().includes(name), 'it is looked at')
    assert.equal(policy.passesUnread(ask(name)), false)
  })
}

test('no list at all is the default', () => {
  assert.equal(new CommandPolicy(undefined).refusal(ask('debug')), 'debug')
  assert.equal(new CommandPolicy({}).refusal(ask('debug')), 'debug')
})

test('what a server calls administrative and the table does not know passes by name only', () => {
  const fate = (config: { allow?: string[]; deny?: string[] }) =>
    new CommandPolicy(config).refusal(ask('x.config set a', true))
  assert.equal(fate({}), 'x.config|set')
  assert.equal(fate({ allow: ['x.config'] }), undefined)
  assert.equal(fate({ allow: ['x.config|set'] }), undefined)
  assert.equal(fate({ allow: ['x.config|get'] }), 'x.config|set')
  assert.equal(fate({ allow: ['*'] }), undefined)
  assert.equal(fate({ deny: ['*'] }), 'x.config|set')
  assert.equal(fate({ deny: ['x.config'] }), 'x.config|set')
})

test('what is allowed to pass may be larger than is gathered', () => {
  const policy = new CommandPolicy({ allow: ['set'], deny: ['*'] })
  assert.equal(policy.passesUnread(ask('SET')), true)
  assert.equal(policy.passesUnread(ask('GET')), false)
  assert.equal(new CommandPolicy(undefined).passesUnread(ask('RESTORE')), false)
})

test('a refusal names what was refused and never more of it than is safe to show', () => {
  const policy = new CommandPolicy({ deny: ['*'] })
  assert.match(refusalText(policy.refusal(ask('config set')) ?? ''), /^NOPERM 'config\|set' /)
  assert.equal(policy.refusal(ask('x'.repeat(200))), 'x'.repeat(64))
  assert.equal(policy.refusal(ask("config s'e\tt")), 'config')
})

test('everything that any known server calls administrative or dangerous has been decided', async () => {
  const { commands } = await readCommandFile()
  const flagged = Object.entries(commands).flatMap(([name, variants]) => {
    const words = new Set(variants.flatMap(({ flags, categories }) => [...flags, ...categories]))
    return words.has('admin') || words.has('dangerous') ? [name] : []
  })
  const isDecided = (name: string) =>
    defaultDecisions.has(name) || defaultDecisions.get(name.split('|')[0] ?? '')?.kind === 'refused'
  assert.ok(flagged.length > 80)
  assert.deepEqual(
    flagged.filter((name) => !isDecided(name)),
    [],
  )
  const unknown = [...defaultDecisions.keys()].filter((name) => !(name in commands))
  assert.deepEqual(unknown, [], 'a decision is about a command that no server has')
})

test('a pattern that may match the name of a password is told from one that cannot', () => {
  for (const name of secretSettings) {
    const patterns = [name, `${name.slice(0, 3)}*`, `*${name.slice(-3)}`, `?${name.slice(1)}`]
    for (const pattern of [...patterns, '*', '**', '*'.repeat(40), '[a-z]*', '\\r*']) {
      assert.equal(mayNameSecret(pattern), true, pattern)
    }
  }
  for (const pattern of ['maxmemory', 'max*', 'requirepas?x', 'save', '', 'require', '*policy']) {
    assert.equal(mayNameSecret(pattern), false, pattern)
  }
  assert.equal(mayNameSecret(`r${'*'.repeat(100)}equirepas`), true, 'one that was cut')
})
