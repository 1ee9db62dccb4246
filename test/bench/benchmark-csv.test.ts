import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseBenchmarkCsv } from './benchmark-csv.ts'

const header =
  '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"'

test('rows are read by column name', () => {
  const text = `${header}\n"SET","1000000.00","0.685","0.136","0.631","1.271","1.631","1.711"\n"GET","1666666.62","0.397","0.184","0.383","0.567","0.671","0.783"\n`
  assert.deepEqual(parseBenchmarkCsv(text), [
    { test: 'SET', requestsPerSecond: 1_000_000, p50Ms: 0.631, p99Ms: 1.631 },
    { test: 'GET', requestsPerSecond: 1_666_666.62, p50Ms: 0.383, p99Ms: 0.671 },
  ])
})

test('another order of columns, new ones and warnings around them change nothing', () => {
  const text =
    'WARNING: Could not fetch server CONFIG\r\n"p99_latency_ms","new","rps","p50_latency_ms","test"\r\n"3.5","x","70.5","1.25","GET"\r\n'
  assert.deepEqual(parseBenchmarkCsv(text), [
    { test: 'GET', requestsPerSecond: 70.5, p50Ms: 1.25, p99Ms: 3.5 },
  ])
})

test('output of a version without latencies is refused with the columns it lacks', () => {
  assert.throws(
    () => parseBenchmarkCsv('"GET","75000.00"\n'),
    /no column test, rps, p50_latency_ms/,
  )
  assert.throws(() => parseBenchmarkCsv(''), /no column/)
})

test('a row that is cut off is refused', () => {
  assert.throws(() => parseBenchmarkCsv(`${header}\n"GET","1666666.62","0.397"\n`), /not a row/)
})
