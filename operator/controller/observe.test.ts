import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextOperation } from './observe.ts'

const change = { name: 'change', kind: 'Switchover', accept: [] } as const
const promote = { name: 'promote', kind: 'Promote', to: 'b:1', accept: ['DataLoss'] } as const
const at = (name: string, phase: 'Running' | 'Succeeded') => ({
  operation: { name, phase, message: '', startedAt: '' },
})
const intent = { kind: 'Failover', reason: '', startedAt: '' } as const

test('operations are worked on one after the other, oldest first', () => {
  assert.equal(nextOperation([change, promote], {}), change)
  assert.equal(nextOperation([change, promote], at('change', 'Running')), change)
  assert.equal(nextOperation([change, promote], at('change', 'Succeeded')), promote)
  assert.equal(nextOperation([change], at('change', 'Succeeded')), undefined)
})

test('a failover that waits is ended by a Promote, whatever was asked for before', () => {
  assert.equal(nextOperation([change, promote], { intent }), promote)
  assert.equal(nextOperation([change], { intent }), change)
})
