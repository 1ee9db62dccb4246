/** The status page: one small document without scripts, styles or images from elsewhere. */
import type { MemberView } from '../topology/view.ts'
import type { Status } from './status.ts'
import type { TopologyAnswer } from './topology.ts'

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text that is HTML already. */
class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Escapes every value that is not `Html` itself. */
function html(strings: TemplateStringsArray, ...values: readonly unknown[]): Html {
  const parts = values.map((value, index) => `${asHtml(value)}${strings[index + 1] ?? ''}`)
  return new Html(`${strings[0] ?? ''}${parts.join('')}`)
}

function asHtml(value: unknown): string {
  if (value instanceof Html) return value.text
  if (Array.isArray(value)) return value.map(asHtml).join('')
  return String(value).replace(/[&<>"']/g, (character) => escapes[character] ?? '')
}

export function statusPage(status: Status, topology?: TopologyAnswer): string {
  const rows: readonly (readonly [string, string | number])[] = [
    ['Redis', status.primary.address ?? 'no primary'],
    ['State', `${describePrimary(status)}${status.isPaused ? ', paused' : ''}`],
    ['Configuration', describeConfig(status)],
    ['Listening', status.listeners.join(', ') || 'not yet'],
    ['Control plane', describeStream(status)],
    ['Clients', status.clients],
    ['Commands', status.counters.commands],
    ['Held, in flight', `${status.heldCommands}, ${status.inFlightCommands}`],
    [
      'Lost, held too long',
      `${status.counters.commandsLost}, ${status.counters.commandsHeldTooLong}`,
    ],
    ['Shed, stalls', `${status.counters.commandsShed}, ${status.counters.upstreamStalls}`],
    ['Clients cut', describeCuts(status)],
    ...(status.workers === undefined ? [] : [describeWorkers(status.workers)]),
  ]
  return html`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<title>respmesh sidecar</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 44em; margin: 2em auto; padding: 0 1em }
th, td { text-align: left; padding-right: 2em; vertical-align: top }
th { font-weight: 600 }
</style>
<h1>respmesh sidecar</h1>
<p>${status.ready.isOk ? 'Ready' : `Not ready: ${status.ready.reason}`}</p>
<table>${rows.map(([name, value]) => html`<tr><th scope="row">${name}<td>${value}</tr>`)}</table>
${topology === undefined ? '' : topologyTable(topology)}
<p><a href="/status">status</a> · <a href="/topology">topology</a> · <a href="/config">config</a> · <a href="/metrics">metrics</a></p>
</html>
`.text
}

/** Rows on the page; `/topology` has all. */
const serversShown = 64

function topologyTable({ kind, shards, cluster, serverCount, fitCount }: TopologyAnswer): Html {
  const members = shards.flatMap((shard) => shard.members).slice(0, serversShown)
  const slots =
    cluster === undefined ? '' : `, ${cluster.slotsServed} of ${cluster.slotsAll} slots served`
  const heads = ['Server', 'Role', 'Health', 'Lag', 'Latency', 'Sent']
  return html`<h2>Servers</h2>
<p>${kind}: ${fitCount} of ${serverCount} servers in use${slots}</p>
<table><tr>${heads.map((head) => html`<th scope="col">${head}`)}</tr>
${members.map((member) => html`<tr>${cellsOf(member).map((cell) => html`<td>${cell}`)}</tr>`)}</table>`
}

function cellsOf(member: MemberView): readonly string[] {
  const { address, role, isFit, reason, state, lagBytes, latencyMs, commandsSent } = member
  return [
    address,
    role,
    isFit ? 'ok' : (reason ?? state),
    lagBytes === undefined ? '' : `${lagBytes} bytes`,
    latencyMs === undefined ? '' : `${latencyMs.toFixed(1)} ms`,
    String(commandsSent),
  ]
}

function describeCuts({ counters }: Status): string {
  const { clientsCutSlow, clientsCutMemory, clientsCutIdle } = counters
  const { clientsCutPatience, clientsCutTimeLimit } = counters
  return `${clientsCutSlow} slow, ${clientsCutMemory} for memory, ${clientsCutIdle} idle, ${clientsCutPatience} incomplete, ${clientsCutTimeLimit} over time`
}

function describeWorkers(workers: NonNullable<Status['workers']>): readonly [string, string] {
  return ['Clients by worker', workers.map(({ pid, clients }) => `${pid}: ${clients}`).join(', ')]
}

function describePrimary({ primary: { state, grant, heardMsAgo } }: Status): string {
  if (grant?.isValid === false) return `${state}, not granted by the control plane`
  const left = grant === undefined ? '' : `, granted for ${(grant.msLeft / 1000).toFixed(1)} s`
  const heard = heardMsAgo === undefined ? '' : `, heard ${(heardMsAgo / 1000).toFixed(1)} s ago`
  return `${state}${heard}${left}`
}

function describeConfig(status: Status): string {
  const { config } = status
  if (config === undefined) return 'none'
  return `${config.proxy}, epoch ${config.epoch}, version ${config.version}`
}

function describeStream(status: Status): string {
  if (status.stream === undefined) return 'none: this sidecar runs alone'
  return status.stream.isConnected ? 'connected' : (status.stream.lastError ?? 'connecting')
}
