/** The small size of `npm run hostile`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alignment } from './alignment/alignment.ts'
import { fuzz } from './fuzz/fuzz.ts'
import { failures, type Report } from './report.ts'
import { runRows } from './rows-run.ts'
import { startSidecar } from './sites.ts'
import { hostileUpstream } from './upstream/upstream.ts'
import { ask } from './wire.ts'

/** One that found something once; the program itself takes another each time. */
const seed = Number(process.env.HOSTILE_SEED ?? 2_120_640_352)
const base = { at: '', server: '', machine: '', loadAverage: 0 }
const usesSources = false
/** Everything that goes wrong is in the failures. */
const say = (): void => {}

function assertFine(report: Partial<Report>): void {
  assert.deepEqual(failures({ ...base, ...report }), [])
}

test('every hostile input gets what it should and nobody else notices', async () => {
  assertFine({ rows: await runRows({ usesSources, say, bystanderMsMax: 1000 }) })
  assert.ok(!('polluted' in {}))
})

test(`damaged requests are read as strictly as they should be (seed ${seed})`, async () => {
  assertFine({ fuzz: await fuzz({ usesSources, say, seed, caseCount: 3000, warmUpSeconds: 0 }) })
})

test(`a server that lies harms nobody but who asked it (seed ${seed})`, async () => {
  assertFine({ upstream: await hostileUpstream({ usesSources, say, seed, fuzzCount: 300 }) })
})

test(`no reply reaches another client (seed ${seed})`, async () => {
  const options = { usesSources, say, seed, replyCount: 200_000, deadlineMs: 60_000 }
  const report = await alignment(options)
  assertFine({ alignment: report })
  assert.ok(report.replies > 10_000, `${report.replies} replies came`)
})

test('what harms a server passes only where a configuration names it', async () => {
  const allow = ['config|set', 'slowlog|reset']
  const site = await startSidecar({ changes: { commands: { allow, deny: ['flushall', 'get'] } } })
  try {
    const fate = async (...words: readonly string[]) => (await ask(site.port, ...words)).slice(0, 7)
    assert.equal(await fate('CONFIG', 'SET', 'maxmemory', '0'), '+OK\r\n')
    assert.equal(await fate('slowlog', 'reset'), '+OK\r\n')
    for (const text of ['CONFIG REWRITE', 'FLUSHALL', 'get x', 'DEBUG SLEEP 0', 'shutdown']) {
      assert.equal(await fate(...text.split(' ')), '-NOPERM', text)
    }
    assert.equal(await fate('STRLEN', 'x'), ':0\r\n')
  } finally {
    await site.stop()
  }
})
