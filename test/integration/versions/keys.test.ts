/**
 * The keys that the sidecar finds are those that servers find: for thousands of commands, sensible ones and nonsense,
 * every version is asked (`COMMAND GETKEYS`).
 */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { keySpecTexts, readCommandFile } from '../../../scripts/generate/commands.ts'
import { factsIn } from '../../../scripts/generate/commands-model.ts'
import { formatKeySpec } from '../../../common/redis/key-specs.ts'
import { decodeReply } from '../../../sidecar/resp/decode.ts'
import { encodeCommand } from '../../../sidecar/resp/encode.ts'
import { CommandFrame } from '../../../sidecar/route/command-frame.ts'
import { findKeys } from '../../../sidecar/route/keys.ts'
import { findTraits, traitsOfInfo } from '../../../sidecar/route/traits.ts'
import { keyed } from '../../fuzz/vocabulary.ts'
import { drawWords } from '../../fuzz/words.ts'
import { Random } from '../../sim/random.ts'
import { type ServerProgram, seriesStates } from '../../support/server-versions.ts'
import { startServer } from '../../support/servers.ts'
import { type Client, connect } from '../sidecar/harness.ts'

const isFull = process.env['RESPMESH_TEST_SIZE'] === 'full'
const seed = 1 + Math.floor(Date.now() % 1_000_000)
const nonsensePerCommand = isFull ? 400 : 12
const sensiblePerLine = isFull ? 60 : 3
const askedAtOnce = 250

const file = await readCommandFile()

for (const state of await seriesStates()) {
  const series = `${state.name} ${state.series}`
  const skip = state.kind === 'missing' && `not to be had: ${state.why}`
  test(`${series} finds the same keys (seed ${seed})`, { skip }, async (t) => {
    assert.equal(state.kind, 'found')
    if (state.kind === 'found') await compare(t, state.program, series)
  })
}

async function compare(t: TestContext, program: ServerProgram, series: string): Promise<void> {
  const server = await startServer({ program })
  t.after(() => server.stop())
  const client = await connect(t, server.port)
  await compareLive(client, series)
  const random = new Random(seed)
  const commands = [...nonsense(random, series), ...sensible(random)]
  let found = 0
  for (let at = 0; at < commands.length; at += askedAtOnce) {
    const asked = commands.slice(at, at + askedAtOnce)
    client.send(
      Buffer.concat(asked.map((words) => encodeCommand(['COMMAND', 'GETKEYS', ...words]))),
    )
    const replies = await client.replies(asked.length)
    for (const [index, words] of asked.entries()) {
      const reply = replies[index] ?? ''
      // A command that this server does not have, or whose arguments it does not count as we do.
      if (/^-(ERR )?(Invalid command|Invalid number)/.test(reply)) continue
      if (isMisread(words, series)) continue
      assert.deepEqual(keysOf(words), keysOfReply(reply), words.join(' '))
      found += 1
    }
  }
  t.diagnostic(`${found} of ${commands.length} commands compared`)
  assert.ok(found > commands.length / 2)
}

/** Commands that fail when they are run, and in which servers see keys where we see none, or others. */
function isMisread([name = '', ...words]: readonly string[], series: string): boolean {
  const options = words.map((word) => word.toLowerCase())
  // Without GROUP it is none; its keys are looked for from the first STREAMS on if the fourth word leads nowhere.
  if (name === 'xreadgroup') return options[0] !== 'group'
  // Nothing follows its last word; whether KEYS was then a word too many depends on others that may be called so.
  if (name === 'migrate') return options.at(-1) === 'keys'
  if (!name.startsWith('georadius') || series !== 'valkey 9') return false
  // Of several destinations this one sees the last only; and one in the place of the unit.
  const destinations = options.slice(name === 'georadius' ? 4 : 3)
  return (
    destinations.filter((word) => word.startsWith('store')).length > 1 ||
    destinations[0]?.startsWith('store') === true
  )
}

/** What the server says of a command while the sidecar runs is understood like what it was asked beforehand. */
async function compareLive(client: Client, series: string): Promise<void> {
  const reply = decodeReply(Buffer.from(await client.ask('COMMAND'), 'latin1'))
  assert.equal(reply?.kind, 'list')
  const infos = reply?.kind === 'list' ? reply.items : []
  const told = infos.flatMap((info) => {
    const traits = traitsOfInfo(info)
    return traits === undefined ? [] : [traits, ...(traits.subcommands?.values() ?? [])]
  })
  const known = factsIn(file, series)
  assert.deepEqual(told.map(({ name }) => name).toSorted(), [...known.keys()].toSorted())
  for (const { name, keys, arity } of told) {
    const facts = known.get(name)
    assert.ok(facts, name)
    assert.deepEqual(keys.map(formatKeySpec), keySpecTexts([{ ...facts, in: [] }]), name)
    assert.equal(arity, facts.arity, name)
  }
}

const frame = new CommandFrame()

/** Names of channels are none, although they decide where a command goes. */
function keysOf(words: readonly string[]): readonly string[] {
  const bytes = encodeCommand(words)
  frame.read(bytes, 0, bytes.length)
  const traits = findTraits(frame)
  assert.ok(traits && findKeys(frame, traits), words.join(' '))
  if (traits.keys.some(({ isChannel }) => isChannel)) return []
  return Array.from({ length: frame.keyCount }, (_, index) =>
    bytes.toString('latin1', frame.keyStart(index), frame.keyEnd(index)),
  )
}

function keysOfReply(reply: string): readonly string[] {
  if (reply.startsWith('-')) return []
  const keys: string[] = []
  let at = reply.indexOf('\r\n') + 2
  while (at < reply.length) {
    const lineEnd = reply.indexOf('\r\n', at)
    const length = Number(reply.slice(at + 1, lineEnd))
    keys.push(reply.slice(lineEnd + 2, lineEnd + 2 + length))
    at = lineEnd + length + 4
  }
  return keys
}

const nonsenseWords = [
  '',
  '\0\r\n\xff',
  ...'k1 k2 k3 k4 {t} k1 0 1 2 3 4 -1 99999999999 1 2'.split(' '),
  ...'STREAMS streams KEYS keys STORE store STOREDIST LIMIT GET BY'.split(' '),
  ...'COUNT BLOCK GROUP NOACK AUTH AUTH2 COPY REPLACE WEIGHTS NX'.split(' '),
]

/** Every command with whatever arguments. */
function nonsense(random: Random, series: string): readonly (readonly string[])[] {
  return [...factsIn(file, series).keys()].flatMap((name) =>
    Array.from({ length: nonsensePerCommand }, () => [
      ...name.split('|'),
      ...Array.from({ length: random.below(10) }, () => random.pick(nonsenseWords)),
    ]),
  )
}

/** What the differential fuzzer sends. */
function sensible(random: Random): readonly (readonly string[])[] {
  return keyed.flatMap((line) =>
    Array.from({ length: sensiblePerLine }, () =>
      drawWords(line, { random, prefix: '' }).map((word) => word.slice(0, 1000)),
    ),
  )
}
