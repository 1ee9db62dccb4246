import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureLines, saidBy } from './failure-lines.ts'

/** As the runner hands it on. */
function failureOf(run: () => void): Error {
  try {
    run()
  } catch (error) {
    return new Error('test failed', { cause: error })
  }
  throw new Error('it did not fail')
}

test('of an error its message and its place are told', () => {
  const [first = '', ...rest] = saidBy(
    failureOf(() => {
      throw new Error('the nodes agree: never\nmore of it\nand more\nand too much')
    }),
  )
  assert.match(
    first,
    /^the nodes agree: never \(at .*scripts\/test\/failure-lines\.test\.ts:\d+\)$/,
  )
  assert.deepEqual(rest, ['more of it', 'and more'])
})

test('of values that differ those lines are told that do', () => {
  const value = (middle: number) => ({ same: [1, 2], middle, rest: 'x'.repeat(20) })
  const [, ...rest] = saidBy(failureOf(() => assert.deepEqual(value(1), value(2))))
  assert.deepEqual(rest, ['+   middle: 1,', '-   middle: 2,'])
})

test('what is no error is told too, and long lines are cut', () => {
  assert.deepEqual(saidBy(new Error('test failed', { cause: 7 })), ['7'])
  const [line = ''] = saidBy(new Error('x'.repeat(1000)))
  assert.ok(line.startsWith('xxx') && line.length < 450)
})

test('all failures are named in few lines, however many', () => {
  const said = ['one', 'two', 'three']
  const lines = (count: number) =>
    failureLines(Array.from({ length: count }, (_, at) => ({ where: `test ${at}`, said })))
  assert.deepEqual(lines(1), ['FAILED: test 0', '    one', '    two', '    three'])
  assert.equal(lines(5).length, 20)
  assert.equal(lines(10).length, 20)
  assert.equal(lines(30).length, 30)
  assert.deepEqual(lines(0), [])
})
