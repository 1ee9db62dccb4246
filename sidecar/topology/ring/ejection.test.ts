import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Ejection } from './ejection.ts'

const rules = { after: 3, forMs: 1000 }

test('a server is out after so many failures in a row, and back when it works after its time', () => {
  const server = new Ejection()
  assert.equal(server.noteFailure(rules), false)
  assert.equal(server.noteFailure(rules), false)
  assert.equal(server.noteFailure(rules), true)
  server.takeOut(rules, 5000)
  assert.equal(server.noteWorks(5999), false)
  assert.equal(server.isOut, true)
  assert.equal(server.noteWorks(6000), true)
  assert.equal(server.isOut, false)
})

test('failures that are not in a row do not add up', () => {
  const server = new Ejection()
  for (let round = 0; round < 10; round += 1) {
    assert.equal(server.noteFailure(rules), false)
    assert.equal(server.noteFailure(rules), false)
    server.noteWorks(round)
  }
})

test('without a rule no server is ever out', () => {
  const server = new Ejection()
  fc.assert(fc.property(fc.nat(20), () => !server.noteFailure({ after: undefined, forMs: 1 })))
})

test('it is never out for less than its time, and never back before it works', () => {
  const step = fc.record({ works: fc.boolean(), ms: fc.nat(700) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const server = new Ejection()
      let nowMs = 0
      let outAtMs = 0
      for (const { works, ms } of steps) {
        nowMs += ms
        const wasOut = server.isOut
        if (works) server.noteWorks(nowMs)
        else if (server.noteFailure(rules)) {
          server.takeOut(rules, nowMs)
          outAtMs = nowMs
        }
        if (wasOut && !server.isOut) assert(works && nowMs - outAtMs >= rules.forMs)
      }
    }),
  )
})
