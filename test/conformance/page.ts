/** The page about compatibility, made from the figures of a run. Pure. */
import type { ModeReport, Report, UnitFigures } from './report.ts'

export function renderPage(report: Report): string {
  const { standalone, units, singleDatabase, perClient, cluster } = report
  const oneNode = cluster && { totals: cluster, units: cluster.units }
  const ownConnection = standalone && units && { totals: standalone, units }
  return [
    introduction(report),
    table({
      'database 9': ownConnection,
      'database 0': singleDatabase,
      'per client': perClient,
      cluster: oneNode,
    }),
    ...section('Differences on database 9', ownConnection),
    ...section('Differences with shared connections (database 0)', singleDatabase),
    ...section('Differences with a connection per client (isolation: perClient)', perClient),
    ...section('Differences in a cluster (upstream.mode: cluster)', oneNode),
    '',
  ].join('\n')
}

function introduction(report: Report): string {
  return `# Compatibility

<!-- Generated: npm run conformance -- --page docs/reference/compatibility.md -->

The server’s own test suite (redis ${report.suiteVersion}), run against a server and against the same server behind a sidecar.
A test counts when it passes directly; where it does not pass through the sidecar as well, it is listed with the
reason. Server: ${report.server.replace(/^Redis server v=(\S+).*/, 'redis-server $1')}.

The sidecar lets every command through (\`commands: {allow: ['*']}\`); all calls of the suite go through it, but for
the stream of replication, which its helper reads from the server. Tests that the suite tags \`slow\`, or that cannot be run against a server that it did not start, are left out on both sides. On
database 9, which the suite selects, every client has a connection of its own; on database 0, where nothing is selected,
clients share one; the third run is again on database 9, with \`isolation: perClient\`. The last is the suite’s
\`--cluster-mode\`: a cluster of one node, which has all slots, and a sidecar with \`upstream.mode: cluster\`.
`
}

function table(runs: Readonly<Record<string, ModeReport | undefined>>): string {
  const heads = Object.keys(runs).filter((head) => runs[head] !== undefined)
  const reports = heads.flatMap((head) => runs[head] ?? [])
  const names = [...new Set(reports.flatMap(({ units }) => Object.keys(units)))]
  const cells = (figures: UnitFigures | undefined) =>
    figures === undefined ? ' | ' : `${figures.direct} | ${figures.passed}`
  const rows = names
    .filter((name) => reports.some(({ units }) => (units[name]?.direct ?? 0) > 0))
    .map((name) => [name, ...reports.map(({ units }) => cells(units[name]))])
  const totals = reports.map(({ totals }) => `**${totals.direct}** | **${totals.passed}**`)
  const titles = heads.map((head) => `${head}: direct | through`)
  return [
    `| ${['unit', ...titles].join(' | ')} |`,
    `|---|${'--:|'.repeat(2 * heads.length)}`,
    ...[...rows, ['**all**', ...totals]].map((row) => `| ${row.join(' | ')} |`),
    '',
  ].join('\n')
}

function section(title: string, report: ModeReport | undefined): string[] {
  if (report === undefined) return []
  const rows = report.totals.skipped.map(
    ({ unit, test, reason }) => `| ${unit} | ${escape(test)} | ${escape(reason)} |`,
  )
  const body =
    rows.length === 0 ? ['None.'] : ['| unit | test | reason |', '|---|---|---|', ...rows]
  return [`## ${title}`, '', ...body, '']
}

function escape(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ')
}
