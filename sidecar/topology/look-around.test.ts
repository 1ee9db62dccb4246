import assert from 'node:assert/strict'
import { test } from 'node:test'
import { membersLearntMax } from '../../common/limits.ts'
import type { Address, Observation } from './choose-primary.ts'
import { isNamed, lookAround } from './look-around.ts'

const at = (port: number): Address => ({ host: 'h', port })

function server(port: number, follows: number | undefined, followers: readonly number[]) {
  const isReplica = follows !== undefined
  const one: Observation = {
    ...at(port),
    kind: isReplica ? 'replica' : 'master',
    info: {
      role: isReplica ? 'replica' : 'primary',
      lineage: 'a',
      offset: 0,
      isLinkUp: isReplica,
      isSyncing: false,
      ...(isReplica && { follows: at(follows) }),
      followers: followers.map(at),
    },
  }
  return one
}

test('everyone is found from anyone, once, those that were known first in front', async () => {
  const all = [server(1, undefined, [2, 3]), server(2, 1, []), server(3, 1, [4]), server(4, 3, [])]
  for (const first of [1, 2, 3, 4]) {
    const asked: number[] = []
    const seen = await lookAround([at(first), at(first)], async ({ port }) => {
      asked.push(port)
      return all[port - 1] as Observation
    })
    assert.equal(seen[0]?.port, first)
    assert.deepEqual(asked.toSorted(), [1, 2, 3, 4])
  }
  assert.ok(isNamed(at(4), all))
  assert.ok(!isNamed(at(5), all))
})

test('a server that names others without end is not followed without end', async () => {
  let asked = 0
  await lookAround([at(1)], async ({ port }) => {
    asked += 1
    return server(port, undefined, [port * 2, port * 2 + 1])
  })
  assert.equal(asked, membersLearntMax)
})

test('who cannot be asked names nobody', async () => {
  const away: Observation = { ...at(1), kind: 'unreachable', reason: 'away' }
  assert.deepEqual(await lookAround([at(1)], async () => away), [away])
})
