import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StopStack } from './lifecycle.ts'

test('parts stop in reverse, each even if a later one failed, and only once', async () => {
  const stopped: string[] = []
  const stack = new StopStack()
  const part = (name: string, fails = false) => ({
    stop: async () => {
      stopped.push(name)
      if (fails) throw new Error('stuck')
    },
  })
  stack.add('first', part('first'))
  stack.add('second', part('second', true))
  stack.add('third', part('third'))
  const [one, two] = [stack.stop(), stack.stop()]
  await assert.rejects(one, AggregateError)
  await assert.rejects(two, AggregateError)
  assert.deepEqual(stopped, ['third', 'second', 'first'])
})
