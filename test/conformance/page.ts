/** The page about compatibility, made from the figures of a run. Pure. */
import { refusedCommands } from './patches.ts'
import type { ModeReport, Report, UnitFigures } from './report.ts'

export function renderPage(report: Report): string {
  const { standalone, units, singleDatabase } = report
  const ownConnection = standalone && units && { totals: standalone, units }
  return [
    introduction(report),
    table(ownConnection, singleDatabase),
    ...section('Differences with a connection per client (database 9)', ownConnection),
    ...section('Differences with shared connections (database 0)', singleDatabase),
    '',
  ].join('\n')
}

function introduction(report: Report): string {
  return `# Compatibility

<!-- Generated: npm run conformance -- --page docs/reference/compatibility.md -->

The server’s own test suite (redis ${report.suiteVersion}), run against a server and against the same server behind a sidecar.
A test counts when it passes directly; where it does not pass through the sidecar as well, it is listed with the
reason. Server: ${report.server.replace(/^Redis server v=(\S+).*/, 'redis-server $1')}.

What a sidecar refuses cannot be allowed by an option yet, so the suite’s own calls of ${refusedCommands.map((name) => `\`${name.toUpperCase()}\``).join(', ')}
go to the server by a second connection. Tests that the suite tags \`slow\`, or that cannot be run against a server that
it did not start, are left out on both sides.
`
}

function table(own: ModeReport | undefined, shared: ModeReport | undefined): string {
  const names = [
    ...new Set([...Object.keys(own?.units ?? {}), ...Object.keys(shared?.units ?? {})]),
  ]
  const cells = (figures: UnitFigures | undefined) =>
    figures === undefined ? ' | ' : `${figures.direct} | ${figures.passed}`
  const rows = names
    .filter((name) => (own?.units[name]?.direct ?? 0) + (shared?.units[name]?.direct ?? 0) > 0)
    .map((name) => `| ${name} | ${cells(own?.units[name])} | ${cells(shared?.units[name])} |`)
  const total = (report: ModeReport | undefined) =>
    report === undefined ? ' | ' : `**${report.totals.direct}** | **${report.totals.passed}**`
  return [
    '| unit | own connection: direct | through | shared connection: direct | through |',
    '|---|--:|--:|--:|--:|',
    ...rows,
    `| **all** | ${total(own)} | ${total(shared)} |`,
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
