/** `respmesh up`: servers, controller, sidecars and status page on this machine, until Ctrl-C. */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../common/clock.ts'
import { StopStack } from '../common/lifecycle.ts'
import { createLog } from '../common/log.ts'
import {
  EventLog,
  type LocalWorld,
  consoleSource,
  findServerProgram,
  freePort,
  playDemo,
  startConsole,
  startWorld,
} from '../operator/local/index.ts'
import { type UpInput, readInput } from './up/input.ts'
import { obstacleOf } from './up/readiness.ts'
import { type UpOptions, parseUpOptions, upHelp } from './up/options.ts'
import { type Paint, eventLine, paintFor, readyBlock } from './up/terminal.ts'

const sidecarCount = 2
/** The block is printed after this even if nothing is ready: then it says what is waited for. */
const readyPatienceMs = 8000

/** @returns 0 when it was ended by a signal or the demo held, 1 if the demo did not */
export async function up(args: readonly string[]): Promise<number> {
  const options = parseUpOptions(args)
  if (options.isHelp) {
    console.log(upHelp)
    return 0
  }
  const input = await readInput(options)
  const stack = new StopStack()
  const ended = endRequest()
  try {
    const started = await startAll(options, input, stack)
    if (options.isDemo) return await Promise.race([demo(started, options), ended.then(() => 130)])
    await Promise.race([readyWithin(started.world, readyPatienceMs), ended])
    await serve(started, { options, input, ended })
    return 0
  } finally {
    await stack.stop()
  }
}

interface Started {
  readonly world: LocalWorld
  readonly events: EventLog
  readonly consoleUrl: string
  readonly paint: Paint
}

async function startAll(options: UpOptions, input: UpInput, stack: StopStack): Promise<Started> {
  const events = new EventLog(systemClock)
  const log = createLog({ level: options.logLevel, part: 'operator' })
  const isRoot = process.getuid?.() === 0
  const serverProgram = input.needsServers
    ? await findServerProgram({ say: (line) => console.error(line), isRoot })
    : undefined
  const world = stack.add(
    'local world',
    await startWorld(
      {
        proxy: input.proxy,
        secrets: input.secrets,
        env: process.env,
        ...(serverProgram !== undefined && { serverProgram }),
        sidecars: { command: sidecarCommand(), count: sidecarCount, port: options.port },
      },
      { clock: systemClock, log, onEvent: (event) => events.add(event) },
    ),
  )
  const [first] = world.sidecars()
  if (first !== undefined && first.port !== options.port) {
    console.error(`Port ${options.port} is taken; the sidecar listens on ${first.port} instead.`)
  }
  const port = await freePort(options.consolePort, new Set())
  const { url } = stack.add('status page', await startConsole(port, consoleSource(world, events)))
  return { world, events, consoleUrl: url, paint: paintFor(process.stdout, process.env) }
}

function sidecarCommand(): readonly [string, ...string[]] {
  const program = fileURLToPath(new URL('main.ts', import.meta.url))
  return [process.execPath, '--disable-warning=ExperimentalWarning', program, 'sidecar']
}

async function serve(
  { world, events, consoleUrl, paint }: Started,
  around: { readonly options: UpOptions; readonly input: UpInput; readonly ended: Promise<void> },
): Promise<void> {
  const isInteractive = process.stdin.isTTY && process.stdout.isTTY
  const show = () => {
    const options = { source: around.input.source, consoleUrl, isInteractive }
    console.log(readyBlock(world, options, paint))
  }
  show()
  // Who was told to wait is told when it is over.
  if (obstacleOf(world) !== undefined) void readyWithin(world).then(show)
  const unsubscribe = events.onEvent((event) => console.log(eventLine(event, paint)))
  const quit = Promise.withResolvers<void>()
  const release = isInteractive ? readKeys(world, quit.resolve) : () => {}
  await Promise.race([around.ended, quit.promise])
  release()
  unsubscribe()
  console.log('\nStopping …')
}

/** k kills the primary, q or Ctrl-C ends. */
function readKeys(world: LocalWorld, quit: () => void): () => void {
  const { stdin } = process
  const onKey = (data: Buffer) => {
    const key = data.toString('latin1')
    const primary = world.proxy().status?.topology?.primary
    if (key === 'k' && primary !== undefined) world.servers?.signal(primary, 'SIGKILL')
    if (key === 'q' || key === '\x03' || key === '\x04') quit()
  }
  stdin.setRawMode(true)
  stdin.on('data', onKey)
  return () => {
    stdin.off('data', onKey)
    stdin.setRawMode(false)
    stdin.pause()
  }
}

async function demo({ world, events, paint }: Started, options: UpOptions): Promise<number> {
  const startedMs = performance.now()
  const say = (line: string) => {
    const time = `${((performance.now() - startedMs) / 1000).toFixed(2)} s`.padStart(9)
    console.log(`${paint.dim(time)}  ${line}`)
  }
  const unsubscribe = events.onEvent(({ message }) => say(paint.dim(`  · ${message}`)))
  const result = await playDemo(world, options.trials, { say })
  unsubscribe()
  if (options.jsonFile !== undefined) {
    await writeFile(options.jsonFile, `${JSON.stringify(result, null, 2)}\n`)
  }
  const verdict = result.held ? paint.good('All of it held') : paint.warn('It did not hold')
  const p50 = result.p50KillToFirstWriteMs.toFixed(0)
  say(
    `${paint.bold(verdict)}: ${result.lost} of ${result.ackedWrites} acknowledged writes lost; ${p50} ms from kill to first write${options.trials > 1 ? ` (median of ${options.trials})` : ''}`,
  )
  return result.held ? 0 : 1
}

/** Resolves at the first signal to end; the second one is obeyed on the spot, and the guard cleans up. */
function endRequest(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let count = 0
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      count += 1
      if (count > 1) process.exit(130)
      resolve()
    })
  }
  // Whoever read our output is gone: nobody is left to serve.
  process.stdout.on('error', () => resolve())
  return promise
}

async function readyWithin(world: LocalWorld, patienceMs?: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = () => {
    if (obstacleOf(world) === undefined) resolve()
  }
  const stop = world.onChange(look)
  const timer = patienceMs === undefined ? undefined : setTimeout(resolve, patienceMs)
  look()
  await promise
  clearTimeout(timer)
  stop()
}
