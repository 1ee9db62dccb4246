/** Hostile servers behind the sidecar: every script over a shared and over an own connection, then random replies. */
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Random } from '../fuzz/random.ts'
import { peakOf, residentNow, shown, startPeak, within } from '../run-row.ts'
import { type Site, startSidecar } from '../sites.ts'
import { command, open, type Wire } from '../wire.ts'
import { AlignedClient } from './aligned-client.ts'
import { damagedReply } from './replies.ts'
import { type Script, ScriptedServer } from './scripted-server.ts'
import { scripts } from './scripts.ts'

export interface UpstreamOptions {
  readonly fuzzCount: number
  readonly seed: number
  readonly usesSources: boolean
  readonly say: (text: string) => void
}

export interface ScriptOutcome {
  readonly id: string
  readonly name: string
  readonly connection: Variant
  readonly reaction: string
  readonly problems: readonly string[]
  readonly growthBytes: number
  readonly recoveryMs: number
}

export interface UpstreamReport {
  readonly scripts: readonly ScriptOutcome[]
  readonly fuzz: {
    readonly replies: number
    readonly seed: number
    readonly problems: readonly string[]
  }
  readonly deaths: number
  readonly foreign: number
  readonly redirectsFollowed: number
  readonly rssGrowthBytes: number
}

type Variant = 'own' | 'resp3' | 'shared'
const variants: readonly Variant[] = ['shared', 'own', 'resp3']

const victimPatienceMs = 4000
const recoveryMs = 10_000
/** What one reply may make the process grow by; the largest that is passed on has 16 MB. */
const growthBytesMax = 64 * 2 ** 20
const problemsMax = 5

export async function hostileUpstream(options: UpstreamOptions): Promise<UpstreamReport> {
  const server = await ScriptedServer.start()
  let redirectsFollowed = 0
  const trap = createServer((socket) => {
    redirectsFollowed += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve))
  const site = await startSidecar({ upstreamPort: server.port, usesSources: options.usesSources })
  const clients = [1, 2, 3].map((index) => new AlignedClient(site.port, `by${index}`))
  try {
    const before = startPeak(site.pid())
    const outcomes: ScriptOutcome[] = []
    for (const script of scripts((trap.address() as AddressInfo).port)) {
      for (const variant of variants) {
        if (!site.isAlive()) break
        server.script = script
        outcomes.push(await tryScript(script, variant, { site, clients }))
        const { problems } = outcomes.at(-1) as ScriptOutcome
        if (problems.length > 0)
          options.say(`${script.id} ${script.name} (${variant}): ${problems.join('; ')}`)
      }
    }
    options.say(`upstream: ${outcomes.length} scripted servers tried`)
    const fuzz = await fuzzReplies(server, site, clients, options)
    return {
      scripts: outcomes,
      fuzz,
      deaths: site.isAlive() ? 0 : 1,
      foreign: clients.reduce((sum, client) => sum + client.foreign.length, 0),
      redirectsFollowed,
      rssGrowthBytes: site.isAlive() ? Math.max(0, residentNow(site.pid()) - before) : 0,
    }
  } finally {
    for (const client of clients) client.stop()
    trap.close()
    await site.stop()
    await server.stop()
  }
}

interface Scene {
  readonly site: Site
  readonly clients: readonly AlignedClient[]
}

async function tryScript(
  script: Script,
  variant: Variant,
  { site, clients }: Scene,
): Promise<ScriptOutcome> {
  await Promise.all(clients.map((client) => client.recover(recoveryMs)))
  const foreignBefore = countForeign(clients)
  const before = startPeak(site.pid())
  const victim = await startVictim(site.port, variant)
  const start = victim.byteCount
  victim.send(command('GET', 'evil'))
  const isOver = () =>
    victim.isClosed || (victim.byteCount > start && isWhole(script, variant, victim, start))
  const isAnswered = await within(victimPatienceMs, isOver)
  const began = performance.now()
  const recovered = await Promise.all(clients.map((client) => client.recover(recoveryMs)))
  const recoveredMs = performance.now() - began
  const problems: string[] = []
  const came = victim.received.toString('latin1', start)
  if (!site.isAlive()) problems.push(`the process died: ${site.logTail()}`)
  if (!isAnswered) problems.push('the client that asked got nothing')
  else if (!isReactionRight(script, variant, victim, came))
    problems.push(`unexpected: ${shown(came)}`)
  if (recovered.includes(false)) problems.push('the others are not served any more')
  if (countForeign(clients) > foreignBefore)
    problems.push(...clients.flatMap((client) => client.foreign))
  const growthBytes = site.isAlive() ? Math.max(0, peakOf(site.pid()) - before) : 0
  if (growthBytes > growthBytesMax) problems.push(`grew by ${(growthBytes / 2 ** 20).toFixed()} MB`)
  const reaction = `${victim.isClosed ? 'closed' : 'open'} ${shown(came)}`.trim()
  victim.socket.destroy()
  return {
    id: script.id,
    name: script.name,
    connection: variant,
    reaction,
    problems,
    growthBytes,
    recoveryMs: recoveredMs,
  }
}

async function startVictim(port: number, variant: Variant): Promise<Wire> {
  const victim = await open(port)
  if (variant === 'own') victim.send(command('SELECT', '1'))
  if (variant === 'resp3') victim.send(command('HELLO', '3'))
  if (variant !== 'shared') {
    await within(victimPatienceMs, () => victim.byteCount > (variant === 'resp3' ? 60 : 4))
    await delay(5)
  }
  return victim
}

function isWhole(script: Script, variant: Variant, victim: Wire, start: number): boolean {
  const text = victim.received.toString('latin1', start)
  // What came before a cut may look whole as well.
  const isPart = script.expected === 'cut' && variant === 'shared' && !text.startsWith('-PROXY ')
  if (isPart) return false
  return script.reply === undefined
    ? text.endsWith('\r\n') || victim.byteCount > 2 ** 22
    : script.reply.test(text)
}

/** A cut client was told that its connection to the server was lost, or that of its reply no more comes. */
function isReactionRight(script: Script, variant: Variant, victim: Wire, came: string): boolean {
  if (script.expected === 'any' || variant !== 'shared') return true
  if (script.expected === 'cut') return victim.isClosed || came.startsWith('-PROXY ')
  return !came.startsWith('-PROXY ') && (script.reply?.test(came) ?? came !== '')
}

function countForeign(clients: readonly AlignedClient[]): number {
  return clients.reduce((sum, client) => sum + client.foreign.length, 0)
}

/**
 * Damaged replies, after each of which the server ends the connection: what is wrong with one must not reach anyone
 * but the client that asked. One client asks over the connection that is shared, the others over their own.
 */
async function fuzzReplies(
  server: ScriptedServer,
  site: Site,
  clients: readonly AlignedClient[],
  options: UpstreamOptions,
): Promise<UpstreamReport['fuzz']> {
  const random = new Random(options.seed)
  const problems: string[] = []
  let count = 0
  let last = ''
  const act = (socket: Socket) => {
    last = damagedReply(random)
    count += 1
    socket.write(last, 'latin1', () => setTimeout(() => socket.destroy(), 1))
    return true
  }
  server.script = { id: 'fuzz', name: 'damaged replies', act, expected: 'any' }
  const isDone = () =>
    count >= options.fuzzCount || problems.length >= problemsMax || !site.isAlive()
  const attack = async (variant: Variant) => {
    const victim = await startVictim(site.port, variant).catch(() => undefined)
    if (victim === undefined) return
    victim.send(command('GET', 'evil'))
    const start = victim.byteCount
    const isAnswered = await within(8000, () => victim.isClosed || victim.byteCount > start)
    if (!isAnswered) {
      problems.push(`seed ${options.seed}: no answer and no end to ${JSON.stringify(last)}`)
    }
    victim.socket.destroy()
  }
  // A reply too many that comes while another is owed one cannot be told from theirs: those who share wait.
  const onShared = async () => {
    while (!isDone()) {
      await attack('shared')
      for (const client of clients) await client.ask(recoveryMs).catch(() => false)
    }
  }
  const onOwn = async (variant: Variant) => {
    while (!isDone()) await attack(variant)
  }
  const others = ['own', 'own', 'own', 'own', 'resp3'] as const
  const looks = setInterval(
    () => options.say(`upstream: ${count} of ${options.fuzzCount} damaged replies`),
    2000,
  )
  await Promise.all([onShared(), ...others.map(onOwn)])
  clearInterval(looks)
  for (const client of clients) {
    if (!(await client.recover(recoveryMs))) problems.push('a client is not served any more')
    problems.push(...client.foreign.slice(0, problemsMax))
  }
  return { replies: count, seed: options.seed, problems: [...new Set(problems)] }
}
