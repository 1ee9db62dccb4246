import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readMoving } from './moving-slots.ts'

const line = (flags: string, slots: string) =>
  `${'a'.repeat(40)} 10.0.0.1:6379@16379 ${flags} - 0 0 1 connected ${slots}`

test('what a node is giving away is read of its own line, and what it is given is not', () => {
  const id = 'b'.repeat(40)
  const own = line('myself,master', `0-99 [7->-${id}] [8-<-${id}] [16383->-${id}]`)
  assert.deepEqual(readMoving(`${line('master', `[1->-${id}]`)}\n${own}\n`), [7, 16_383])
  assert.deepEqual(readMoving(`${line('master', '0-5')}\n${line('myself,master', '9')}\n`), [])
})

test('an answer that is none says nothing', () => {
  assert.equal(readMoving('ERR unknown command'), undefined)
  assert.equal(readMoving(''), undefined)
})
