import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Collector, differences, passedCount } from './outcome.ts'
import { OutputReader, type SuiteEvent } from './output.ts'

function read(chunks: readonly string[]): SuiteEvent[] {
  const events: SuiteEvent[] = []
  const reader = new OutputReader((event) => events.push(event))
  for (const chunk of chunks) reader.write(chunk)
  reader.end()
  return events
}

const printed = `Starting test server at port 21079
[ready]: 4711
Testing unit/quit
[testing]: QUIT (twice) returns OK
[\u001B[0;32;49mok\u001B[0m]: QUIT (twice) returns OK (3 ms)
[ignore]: Slow one: Tag: slow denied
[testing]: Fails
[err]: Fails in tests/unit/quit.tcl
Expected 1
 to be 2
[1/1 done]: unit/quit (0 seconds)
`

test('events are the same however the output is cut', () => {
  const whole = read([printed])
  assert.deepEqual(read(printed.split('')), whole)
  assert.deepEqual(whole, [
    { kind: 'started', test: 'QUIT (twice) returns OK' },
    { kind: 'passed', test: 'QUIT (twice) returns OK' },
    { kind: 'ignored', text: 'Slow one: Tag: slow denied' },
    { kind: 'started', test: 'Fails' },
    { kind: 'failed', test: 'Fails', detail: 'Expected 1\n to be 2' },
    { kind: 'done' },
  ])
})

test('an error between tests is not taken for one of a test', () => {
  const [event] = read(['[err]: socket closed\n    while executing "r flushall"\n'])
  assert.deepEqual(event, {
    kind: 'failed',
    detail: 'socket closed\n    while executing "r flushall"',
  })
})

function collect(...events: readonly SuiteEvent[]): Collector {
  const collector = new Collector()
  for (const event of events) collector.take(event)
  return collector
}

test('tests that pass directly and not through the sidecar are told with their reason', () => {
  const names = ['same', 'refused', 'hung', 'lost', 'both']
  const direct = collect(...names.map((name) => ({ kind: 'passed', test: name }) as const), {
    kind: 'failed',
    test: 'never',
    detail: 'broken',
  })
  const detail = "NOPERM 'debug' is not allowed through the proxy (RM_COMMAND_REFUSED)"
  const through = collect(
    { kind: 'passed', test: 'same' },
    { kind: 'failed', test: 'refused', detail },
    { kind: 'passed', test: 'both' },
    { kind: 'started', test: 'hung' },
  )
  assert.equal(through.giveUp(), 'hung')
  assert.equal(passedCount(direct.results), 5)
  assert.deepEqual(
    differences('unit/x', direct.results, through.results).map((one) => [one.test, one.reason]),
    [
      ['refused', 'refused: debug is not allowed through the sidecar'],
      ['hung', 'stuck: no end within the time limit'],
      ['lost', 'not reached: an earlier error ended its block'],
    ],
  )
})

test('tests of the same name are told apart', () => {
  const twice = collect({ kind: 'passed', test: 'a' }, { kind: 'passed', test: 'a' })
  const once = collect({ kind: 'passed', test: 'a' })
  assert.equal(differences('unit/x', twice.results, once.results)[0]?.test, 'a #2')
})
