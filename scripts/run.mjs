// Runs a TypeScript program of this checkout with the pinned Node, installing dependencies first where they
// are missing or out of date. Plain JavaScript, because the Node that starts it may be any.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [program, ...args] = process.argv.slice(2)

/** Packages as installed, by path, less what npm adds only to the one or the other file. */
function versions(path) {
  if (!existsSync(path)) return undefined
  const lock = JSON.parse(readFileSync(path, 'utf8'))
  const entries = Object.entries(lock.packages ?? {})
    .filter(([name, entry]) => name !== '' && entry.optional !== true)
    .map(([name, entry]) => `${name}@${entry.version}`)
  return entries.sort().join('\n')
}

function isInstalled() {
  const wanted = versions(join(root, 'package-lock.json'))
  return (
    wanted === versions(join(root, 'node_modules', '.package-lock.json')) &&
    existsSync(join(root, 'node_modules', '.bin', 'node'))
  )
}

if (!isInstalled()) {
  process.stderr.write('Installing dependencies and the pinned Node (npm ci) …\n')
  const started = Date.now()
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (result.status !== 0) {
    process.stderr.write('npm ci failed; see above. It needs access to the npm registry.\n')
    process.exit(1)
  }
  process.stderr.write(`Installed in ${((Date.now() - started) / 1000).toFixed(1)} s.\n`)
}

const node = join(root, 'node_modules', '.bin', 'node')
const child = spawn(node, ['--disable-warning=ExperimentalWarning', join(root, program), ...args], {
  stdio: 'inherit',
  env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH}` },
})
// A terminal sends Ctrl-C to the whole group; a bare kill reaches only us and has to be passed on.
let interrupted = 0
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted += 1
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
  })
}
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 128 + interrupted)))
child.on('error', (error) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
})
