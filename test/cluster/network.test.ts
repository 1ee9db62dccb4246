import assert from 'node:assert/strict'
import { test } from 'node:test'
import { networkAt, overlaps } from './network.ts'

test('a network of the host is seen to overlap whichever of the two is larger', () => {
  assert.equal(overlaps('10.230.4.0/24', 230), true, 'inside')
  assert.equal(overlaps('10.230.0.0/16', 230), true, 'equal')
  assert.equal(overlaps('10.0.0.0/8', 230), true, 'around')
  assert.equal(overlaps('10.230.0.53', 230), true, 'an address')
  assert.equal(overlaps('10.231.0.0/16', 230), false, 'beside')
  assert.equal(overlaps('192.168.0.0/16', 230), false, 'elsewhere')
})

test('the parts of a network do not overlap each other', () => {
  const { podCidr, serviceCidr, hostIp, nodeIp, apiServiceIp } = networkAt(240)
  assert.equal(podCidr, '10.240.0.0/20')
  assert.equal(serviceCidr, '10.240.16.0/20')
  assert.deepEqual([nodeIp, apiServiceIp, hostIp], ['10.240.0.1', '10.240.16.1', '10.240.255.1'])
})
