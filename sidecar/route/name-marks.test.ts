import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../common/clock.ts'
import { encodeCommand } from '../resp/encode.ts'
import { NameMark, RequestScanner, ScanStop } from '../resp/request-scanner.ts'
import { CommandRules } from './command-rules.ts'
import { nameMarks } from './name-marks.ts'

const { apart, writes } = NameMark
const limits = { argumentCountMax: 100, argumentBytesMax: 1000, excess: 'invalid' } as const

/** What a scan tells of commands that were sent together. */
function marksOf(rules: CommandRules, ...commands: readonly (readonly string[])[]): number {
  const scanner = new RequestScanner(rules.filter, limits)
  const bytes = Buffer.from(commands.map((words) => encodeCommand(words)).join(''))
  assert.equal(scanner.scan(bytes, 0, bytes.length, 100), ScanStop.more)
  assert.equal(scanner.count, commands.length)
  return scanner.marks
}

test('a name tells whether its commands have one key and whether they change something', () => {
  const marks = nameMarks()
  const expected = {
    GET: 0,
    HGETALL: 0,
    SET: writes,
    INCR: writes,
    MGET: apart,
    MSET: apart | writes,
    DBSIZE: apart,
    FLUSHALL: apart | writes,
    ECHO: apart,
    OBJECT: undefined,
  }
  for (const [name, mark] of Object.entries(expected)) assert.equal(marks.get(name), mark, name)
})

test('a scan tells it of all that it passed over, once it was asked to', () => {
  const rules = new CommandRules(systemClock, () => undefined)
  assert.equal(marksOf(rules, ['MSET', 'a', '1', 'b', '2']), 0)
  assert.equal(rules.tellsApart, false)
  rules.tellApart()
  assert.equal(rules.tellsApart, true)
  assert.equal(marksOf(rules, ['get', 'a'], ['GET', 'b']), 0)
  assert.equal(marksOf(rules, ['get', 'a'], ['set', 'b', '1']), writes)
  assert.equal(marksOf(rules, ['DBSIZE'], ['GET', 'b']), apart)
  // Names of one length, first and last letter are one to it.
  assert.equal(marksOf(rules, ['MGET', 'a', 'b']), apart | writes)
  assert.equal(marksOf(rules, ['OBJECT', 'ENCODING', 'b']), apart | writes)
  rules.use({ deny: ['keys'] })
  assert.equal(marksOf(rules, ['DBSIZE']), apart)
})
