import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommandMerge } from '../../../common/redis/command-routes.ts'
import { type MergeOptions, mergeReplies } from './merge-replies.ts'
import { valueEnd } from './reply-walk.ts'

/** Lines end in `^`. */
const bytes = (text: string) => Buffer.from(text.replaceAll('^', '\r\n'), 'latin1')
const merged = (merge: CommandMerge, replies: readonly string[], options?: MergeOptions) =>
  mergeReplies(merge, replies.map(bytes), options)?.toString('latin1').replaceAll('\r\n', '^')

test('numbers are added up, compared and joined by logic, also place by place', () => {
  assert.equal(merged('sum', [':1^', ':2^:40^']), ':43^')
  assert.equal(merged('sum', [':-1^']), ':-1^')
  assert.equal(merged('min', [':7^', ':3^', ':5^']), ':3^')
  assert.equal(merged('max', [':7^', ':13^']), ':13^')
  assert.equal(merged('and', ['*3^:1^:0^:1^', '*3^:1^:1^:0^']), '*3^:1^:0^:0^')
  assert.equal(merged('or', ['*2^:0^:0^', '*2^:1^:0^']), '*2^:1^:0^')
  assert.equal(merged('min', ['*2^:1^:2^', '*2^:0^:5^']), '*2^:0^:2^')
  assert.equal(merged('sum', ['*4^$1^a^:2^$1^b^:0^', '*4^$1^a^:1^$1^b^:4^']), '*4^$1^a^:3^$1^b^:4^')
})

test('what are no such numbers cannot be made one', () => {
  assert.equal(merged('sum', [':1^', '+OK^']), undefined)
  assert.equal(merged('sum', [':9007199254740991^', ':1^']), undefined)
  assert.equal(merged('sum', [':9007199254740993^']), undefined)
  assert.equal(merged('and', ['*1^:1^', '*2^:1^:1^']), undefined)
  assert.equal(merged('sum', ['*2^$1^a^:2^', '*2^$1^b^:2^']), undefined)
  assert.equal(merged('sum', [':1']), undefined)
  assert.equal(merged('sum', ['$-1^', ':1^']), undefined)
  assert.equal(merged('sum', []), undefined)
})

test('the first error is the reply, in the order of the parts', () => {
  for (const merge of ['sum', 'allSucceeded', 'positional', 'concat', 'pickOne'] as const) {
    assert.equal(merged(merge, [':1^', '-ERR one^', '-ERR two^']), '-ERR one^', merge)
  }
  assert.equal(merged('concat', ['*0^', '!5^ERR x^']), '!5^ERR x^')
  assert.equal(merged('allSucceeded', ['+OK^', '+OK^']), '+OK^')
})

test('where one success is enough it is the reply, else the error that tells most', () => {
  const nothing = '-NOTBUSY No scripts in execution right now.^'
  assert.equal(merged('oneSucceeded', [nothing, '+OK^', nothing]), '+OK^')
  assert.equal(merged('oneSucceeded', [nothing, nothing]), nothing)
  assert.equal(merged('oneSucceeded', [nothing, '-UNKILLABLE x^']), '-UNKILLABLE x^')
})

test('elements are put in the order of the keys, whatever they are', () => {
  assert.equal(
    merged('positional', ['*2^$1^c^_^', '*1^$-1^', '*1^%1^+k^*2^:1^:2^'], {
      keyOrder: [2, 0, 3, 1],
    }),
    '*4^_^%1^+k^*2^:1^:2^$1^c^$-1^',
  )
  assert.equal(merged('positional', ['*1^$1^c^'], { keyOrder: [0, 1] }), undefined)
  assert.equal(merged('positional', ['*2^:1^:2^'], { keyOrder: [0] }), undefined)
  assert.equal(merged('positional', [':1^'], { keyOrder: [0] }), undefined)
})

test('lists, sets and maps are joined, and nulls add nothing', () => {
  assert.equal(merged('concat', ['*1^:1^', '*-1^', '*2^$1^x^:3^']), '*3^:1^$1^x^:3^')
  assert.equal(merged('concat', ['~1^+a^', '~1^+b^']), '~2^+a^+b^')
  assert.equal(merged('concat', ['~1^+a^', ':1^']), undefined)
  assert.equal(merged('concat', ['%1^+a^:1^', '%2^+b^:2^+c^:3^']), '%3^+a^:1^+b^:2^+c^:3^')
  assert.equal(merged('concat', ['*0^', '*0^']), '*0^')
  assert.equal(merged('concat', ['*-1^', '*-1^']), '*-1^')
  assert.equal(merged('concat', ['*1^:1^', '%1^+a^:1^']), undefined)
  assert.equal(merged('distinct', ['*2^$1^a^$1^b^', '*2^$1^b^$1^c^']), '*3^$1^a^$1^b^$1^c^')
})

test('of the keys that shards give one is taken, and null only if there is none', () => {
  const keys = ['$-1^', '$1^a^', '_^', '$1^b^']
  assert.equal(merged('pickOne', keys, { pick: 0 }), '$1^a^')
  assert.equal(merged('pickOne', keys, { pick: 5 }), '$1^b^')
  assert.equal(merged('pickOne', ['_^', '_^']), '_^')
})

test('of the states of functions the one is told where something runs', () => {
  const idle = '*4^$14^running_script^$-1^$7^engines^*0^'
  const busy = '*4^$14^running_script^*2^$4^name^$1^f^$7^engines^*0^'
  assert.equal(merged('running', [idle, busy]), busy)
  assert.equal(merged('running', [idle, idle]), idle)
  assert.equal(
    merged('running', ['%1^$14^running_script^_^', '%1^$14^running_script^%0^']),
    '%1^$14^running_script^%0^',
  )
})

test('attributes before a reply are passed over, also nested and empty ones', () => {
  assert.equal(merged('sum', ['|1^+ttl^:3^:1^', '|0^:2^']), ':3^')
  const deep = bytes('|1^+a^*2^|1^+b^:1^:7^$3^\r\nx^*1^%1^:1^=5^txt:x^:9^')
  const end = deep.length - 4
  assert.equal(valueEnd(deep, 0), end)
  for (let cut = 0; cut < end; cut += 1) assert.equal(valueEnd(deep.subarray(0, cut), 0), -1)
})
