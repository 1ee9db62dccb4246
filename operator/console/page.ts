/** The status page: one document, no assets from elsewhere. Data comes as JSON and is set as text, never as HTML. */

export function renderPage({
  nonce,
  token,
}: {
  readonly nonce: string
  readonly token: string
}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>respmesh</title>
<style nonce="${nonce}">${style}</style>
</head>
<body data-token="${token}">
<header><h1>respmesh</h1><span id="name"></span><span id="ready" class="badge"></span></header>
<p id="message" role="status"></p>
<main>
<section><h2>Servers</h2><table><thead><tr><th>address</th><th>role</th><th>state</th><th>lag</th><th></th></tr></thead><tbody id="members"></tbody></table></section>
<section><h2>Sidecars</h2><table><thead><tr><th>sidecar</th><th>endpoint</th><th>stream</th><th>sees</th></tr></thead><tbody id="sidecars"></tbody></table></section>
<section><h2>Topology</h2><dl id="facts"></dl></section>
<section class="wide"><h2>Events</h2><ol id="events"></ol></section>
</main>
<script nonce="${nonce}">${script}</script>
</body>
</html>
`
}

const style = `
:root { color-scheme: light dark; --line: #8883; --good: #2a8a4a; --bad: #c23b3b; --wait: #b07a10 }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1.5rem }
header { display: flex; align-items: baseline; gap: 1rem }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1rem }
section { border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; overflow-x: auto }
.wide { grid-column: 1 / -1 }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 500; opacity: .65 } td, th { padding: .25rem .6rem .25rem 0; white-space: nowrap }
td { border-top: 1px solid var(--line); font-variant-numeric: tabular-nums }
.badge { border-radius: 1rem; padding: 0 .7rem; color: #fff; background: var(--wait) }
.good { color: var(--good) } .bad { color: var(--bad) }
.badge.good { background: var(--good); color: #fff } .badge.bad { background: var(--bad); color: #fff }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 0 } dt { opacity: .65 } dd { margin: 0 }
ol { list-style: none; margin: 0; padding: 0; max-height: 22rem; overflow-y: auto }
li { display: flex; gap: 1rem } time { opacity: .6; font-variant-numeric: tabular-nums }
button { font: inherit; border: 1px solid var(--line); border-radius: .4rem; padding: 0 .6rem; cursor: pointer; background: none; color: inherit }
`

const script = `
'use strict'
const byId = (id) => document.getElementById(id)
const make = (tag, text, className) => {
  const element = document.createElement(tag)
  if (text !== undefined) element.textContent = text
  if (className) element.className = className
  return element
}
const row = (cells) => {
  const tr = make('tr')
  for (const cell of cells) {
    const td = make('td')
    if (cell instanceof Node) td.append(cell); else td.textContent = cell ?? ''
    tr.append(td)
  }
  return tr
}
const tone = (isGood) => (isGood ? 'good' : 'bad')
const post = (path, body) => fetch(path, {
  method: 'POST',
  headers: { 'content-type': 'application/json', 'x-respmesh-token': document.body.dataset.token },
  body: JSON.stringify(body),
})
function button(label, onclick) {
  const element = make('button', label)
  element.onclick = onclick
  return element
}
function actions(member, state) {
  const { address } = member
  const buttons = make('span')
  const isPrimary = address === state.primary
  if (state.canSwitch && !isPrimary && member.role === 'replica' && member.state === 'Online') {
    buttons.append(button('make it the primary', () => post('/v1/operations', { kind: 'Switchover', to: address })))
  }
  if (!state.canAct) return buttons
  const isRunning = member.pid !== undefined
  const label = isRunning ? (isPrimary ? 'kill the primary' : 'kill') : 'start again'
  buttons.append(button(label, () => post(isRunning ? '/api/kill' : '/api/start', { address })))
  return buttons
}
function show(state) {
  byId('name').textContent = state.name
  const ready = byId('ready')
  ready.textContent = state.ready.status === 'True' ? 'ready' : state.ready.reason
  ready.className = 'badge ' + (state.ready.status === 'True' ? 'good' : state.ready.status === 'False' ? 'bad' : '')
  byId('message').textContent = state.ready.message
  byId('members').replaceChildren(...state.members.map((member) => row([
    member.address,
    make('span', member.role, member.address === state.primary ? 'good' : ''),
    make('span', member.state, tone(member.state === 'Online')),
    member.lagBytes === undefined ? '' : member.lagBytes + ' B',
    actions(member, state),
  ])))
  byId('sidecars').replaceChildren(...state.sidecars.map((sidecar) => row([
    sidecar.id,
    sidecar.endpoint,
    make('span', sidecar.isConnected ? 'epoch ' + (sidecar.epoch ?? '-') : 'not connected', tone(sidecar.isConnected)),
    sidecar.primary,
  ])))
  const last = state.lastFailover
  const facts = {
    endpoint: state.endpoint,
    primary: state.primary ?? 'none',
    epoch: state.epoch,
    phase: state.phase,
    'last change': last && (last.from ?? '') + ' → ' + last.to + ' in ' + last.durationMs + ' ms (' + last.reason + ')',
    'lost bytes': last && last.lostBytes,
  }
  byId('facts').replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    value === undefined ? [] : [make('dt', name), make('dd', String(value))]))
  byId('events').replaceChildren(...state.events.toReversed().map((event) => {
    const item = make('li')
    item.append(make('time', event.at.slice(11, 23)), make('span', event.message, event.type === 'Warning' ? 'bad' : ''))
    return item
  }))
}
const source = new EventSource('/api/events')
source.onmessage = (message) => show(JSON.parse(message.data))
source.onerror = () => { byId('ready').textContent = 'not connected'; byId('ready').className = 'badge' }
`
