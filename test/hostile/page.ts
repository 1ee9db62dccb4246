/** docs/reference/hostile.md, made from the figures of a run. Pure. */
import type { AbuseOutcome } from './abuse.ts'
import type { Report } from './report.ts'
import type { PeersReport } from './peers.ts'
import type { RowsReport } from './rows-run.ts'

const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
const number = (value: number) => value.toLocaleString('en-US')

export function renderPage(report: Report): string {
  return [
    introduction(report),
    ...(report.rows ? [inputs(report.rows, report.peers)] : []),
    ...(report.fuzz ? [fuzzing(report.fuzz)] : []),
    ...(report.upstream ? [upstream(report.upstream)] : []),
    ...(report.alignment ? [alignment(report.alignment)] : []),
    ...(report.abuse ? [abuse(report.abuse)] : []),
  ].join('\n')
}

function introduction(report: Report): string {
  return `# Hostile clients and servers

<!-- Generated: npm run hostile -- --json FILE --page docs/reference/hostile.md -->

What a sidecar does with bytes that no client library sends, and with servers that lie. Made by \`npm run hostile\`, against
a sidecar process as in the image. Server: ${report.server.replace(/^(Redis|Valkey) server v=(\S+).*/, '$1 $2')}. Machine: ${report.machine};
load average at the end ${report.loadAverage.toFixed(1)}, so read times as upper bounds.
Its parts may be of different runs: \`--from\` joins what was left in one file.

What more load than it can bear does to a sidecar is measured by \`npm run load\`.

In a cell, \`open\` and \`closed\` are what became of the connection, and \`␍\` is CR LF. Memory is what the process grew by at
most while the input lasted.
`
}

function inputs(report: RowsReport, peers: PeersReport | undefined): string {
  const worst = Math.max(0, ...report.rows.map((row) => row.bystanderMs))
  const others = peers?.peers ?? []
  const reactionOf = (name: string, id: string) => {
    const row = others.find((peer) => peer.name === name)?.rows.find((row) => row.id === id)
    if (row === undefined) return ''
    const marks = [
      row.isAlive ? '' : '**died**',
      row.smuggled.length > 0 ? '**executed**' : '',
      row.growthBytes > 10 * 2 ** 20 ? `**+${megabytes(row.growthBytes)} MB**` : '',
    ]
    return [...marks.filter((mark) => mark !== ''), code(row.reaction)].join(' ')
  }
  const heads = ['id', 'input', 'respmesh', ...others.map((peer) => peer.name)]
  const lines = report.rows.map((row) => [
    row.id,
    cell(row.name),
    `${code(row.reaction)}${row.growthBytes > 10 * 2 ** 20 ? ` +${megabytes(row.growthBytes)} MB` : ''}`,
    ...others.map((peer) => reactionOf(peer.name, row.id)),
  ])
  const good = report.rows.filter((row) => row.problems.length === 0).length
  return [
    '## Inputs',
    '',
    `${good} of ${report.rows.length} inputs got the reaction that they should, ${report.deaths} deaths; another client waited ${worst} ms at worst.`,
    '',
    ...(others.length === 0 ? [] : [peerTable(others), '']),
    ...(peers !== undefined && peers.missing.length > 0
      ? [`Not on this machine: ${peers.missing.join(', ')}.`, '']
      : []),
    table(heads, lines),
    '',
  ].join('\n')
}

function peerTable(peers: PeersReport['peers']): string {
  return table(
    [
      '',
      'inputs',
      'died of',
      'executed smuggled commands of',
      'most memory, MB',
      'longest wait of another client, ms',
      'damaged requests',
    ],
    peers.map((peer) => [
      peer.name,
      String(peer.rows.length),
      String(peer.deaths),
      String(peer.smuggled),
      megabytes(peer.mostGrowthBytes),
      String(peer.worstBystanderMs),
      `${peer.fuzz.isAlive ? `${number(peer.fuzz.cases)}, lives` : `**died** within ${number(peer.fuzz.cases)}`}${peer.fuzz.canaries > 0 ? `, ${peer.fuzz.canaries} keys smuggled` : ''}`,
    ]),
  )
}

function fuzzing(fuzz: NonNullable<Report['fuzz']>): string {
  return `## Damaged requests

Pipelines of good commands with flipped bits, moved, lost and added bytes, wrong lengths and line ends, cut into packets
anywhere; a tenth of them before the password. A strict reader written for the purpose says which commands are in them;
the server itself, sent only those, says what the answers are. Values carry commands that would leave a key behind.

${table(
  [
    'cases',
    'seed',
    'connections',
    'deaths',
    'wrong answers',
    'commands smuggled',
    'warm-up, s',
    'memory after it, MB (aim ≤ 20)',
    'from rest, MB',
    'longest wait of another client, ms (at the server)',
  ],
  [
    [
      number(fuzz.cases),
      String(fuzz.seed),
      number(fuzz.connections),
      String(fuzz.deaths),
      String(fuzz.failures.length),
      String(fuzz.canaries),
      String(fuzz.warmUpSeconds),
      `+${megabytes(fuzz.rssGrowthBytes)}`,
      `+${megabytes(fuzz.rssFromRestBytes)}`,
      `${fuzz.bystanderMs} (${fuzz.controlMs})`,
    ],
  ],
)}
`
}

function upstream(report: NonNullable<Report['upstream']>): string {
  const ids = [...new Set(report.scripts.map((script) => script.id))]
  const lines = ids.map((id) => {
    const [first, ...more] = report.scripts.filter((script) => script.id === id)
    const of = (connection: string) =>
      [first, ...more].find((script) => script?.connection === connection)?.reaction ?? ''
    return [id, cell(first?.name ?? ''), code(of('shared')), code(of('own'))]
  })
  return `## Hostile servers

A server that answers one client wrongly. What its client sees, over a connection that clients share and over one of
its own; ${report.foreign} replies reached anybody else, ${report.redirectsFollowed} redirects were followed, ${report.deaths} deaths,
and ${number(report.fuzz.replies)} damaged replies (seed ${report.fuzz.seed}) did no more.

A whole reply too many, on a shared connection and while another client is owed one, cannot be told from that client’s:
where the server itself is not trusted, \`isolation: perClient\` keeps clients apart.

${table(['id', 'what the server sends', 'shared connection', 'own connection'], lines)}
`
}

function alignment(report: NonNullable<Report['alignment']>): string {
  return `## Replies and their clients

${report.clients} clients whose every reply bears their name, in pipelines, transactions, blocking pops, subscriptions, with CLIENT REPLY,
tracking and uploads; they go away in the middle of replies, by FIN and by RST, while connections to the server are
killed, the server stops, and is replaced.

${table(
  [
    'replies',
    'foreign',
    'cancels',
    'of them RST',
    'errors told',
    'connections killed',
    'server stopped',
    'server replaced',
    'seed',
  ],
  [
    [
      number(report.replies),
      String(report.foreign),
      number(report.cancels),
      number(report.resets),
      number(report.errors),
      number(report.serverConnectionsKilled),
      String(report.serverStops),
      String(report.serverRestarts),
      String(report.seed),
    ],
  ],
)}
`
}

function abuse(outcomes: readonly AbuseOutcome[]): string {
  const lines = outcomes.map(({ id, name, aim, figures, verdict, misses }) => [
    id,
    cell(name),
    aim,
    Object.entries(figures)
      .map(([what, value]) => `${what} ${value}`)
      .join(', '),
    verdict === 'met' ? 'met' : `**missed**: ${misses.join('; ')}`,
  ])
  return `## Clients that ask for much and give little

${table(['id', 'what', 'aim', 'measured', 'verdict'], lines)}
`
}

function table(heads: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [row(heads), `|${heads.map(() => '---').join('|')}|`, ...lines.map(row)].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('*', '\\*').replaceAll('<', '&lt;')
}

function code(text: string): string {
  const clean = text.replaceAll('`', 'ˋ').replaceAll('|', '¦')
  return clean.length > 46 ? `\`${clean.slice(0, 45)}…\`` : `\`${clean}\``
}
