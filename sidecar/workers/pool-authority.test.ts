import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PoolAuthority } from './pool-authority.ts'
import type { Request } from './protocol.ts'
import type { Worker } from './worker.ts'

function fakeWorker(obeys = true) {
  const asked: Request[] = []
  const state = { isKilled: false }
  const worker = {
    ask: async (request: Request) => {
      asked.push(request)
      if (!obeys) throw new Error('it cannot')
    },
    kill: () => {
      state.isKilled = true
    },
  }
  return { worker: worker as unknown as Worker, asked, state }
}

const grant = { uid: 'u', epoch: 1, untilMs: 1000 }

test('every worker is told, and one that comes later is told of the present grant', () => {
  const [first, later] = [fakeWorker(), fakeWorker()]
  const workers = new Set([first.worker])
  const authority = new PoolAuthority(workers)
  authority.introduce(first.worker)
  assert.deepEqual(first.asked, [], 'there is none')
  authority.grant(grant)
  authority.suspect(1, 50)
  authority.grant({ ...grant, untilMs: 2000 })
  assert.equal(first.asked.length, 3)
  workers.add(later.worker)
  authority.introduce(later.worker)
  assert.deepEqual(later.asked, [{ kind: 'grant', grant: { ...grant, untilMs: 2000 } }])
})

test('a worker that does not obey is ended', async () => {
  const worker = fakeWorker(false)
  new PoolAuthority(new Set([worker.worker])).grant(grant)
  await Promise.resolve()
  await Promise.resolve()
  assert.equal(worker.state.isKilled, true)
})
