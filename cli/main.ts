/** `respmesh`: dispatches to one program per word; each is loaded only when it is asked for. */
import { codeOf } from '../common/errors.ts'
import type { ControlWord } from './control.ts'

type Program = (args: readonly string[]) => Promise<number>

const programs: Readonly<
  Record<string, { readonly summary: string; readonly load: () => Promise<Program> }>
> = {
  up: {
    summary: 'run everything on this machine: servers, controller, sidecars (what npm start runs)',
    load: async () => (await import('./up.ts')).up,
  },
  sidecar: {
    summary: 'run one sidecar: respmesh sidecar --upstream redis://HOST:PORT --listen HOST:PORT',
    load: async () => (await import('../sidecar/main.ts')).sidecar,
  },
  operator: {
    summary: 'run the operator inside a Kubernetes cluster, or against KUBECONFIG',
    load: async () => (await import('../operator/main.ts')).operator,
  },
  'sidecar-worker': {
    summary: 'one of several processes of a sidecar; it starts them itself',
    load: async () => (await import('../sidecar/workers/worker-main.ts')).sidecarWorker,
  },
  status: {
    summary: 'one screen of what a sidecar, or respmesh up, says of itself',
    load: async () => (await import('./status.ts')).status,
  },
  topology: {
    summary: 'the servers behind a sidecar: shards, roles, health, lag, load',
    load: async () => (await import('./topology.ts')).topology,
  },
  switchover: {
    summary: 'make another server the primary while everything runs; --yaml: for a cluster',
    load: async () => (await import('./switchover.ts')).switchover,
  },
  verify: {
    summary: 'check manifests or configurations and list all that is wrong: respmesh verify FILE',
    load: async () => (await import('./verify.ts')).verify,
  },
  pause: controlling('pause', 'have a sidecar hold commands; returns when none is in flight'),
  resume: controlling('resume', 'have it go on'),
  reload: controlling('reload', 'have it read its file again, and say every reason why not'),
  'terminate-raw-connections': controlling(
    'terminate-raw-connections',
    'have it close the clients of its raw listeners',
  ),
  'log-messages': controlling('log-messages', 'have it log messages for a while, without values'),
}

function controlling(word: ControlWord, summary: string) {
  const load = async (): Promise<Program> => {
    const { control } = await import('./control.ts')
    return (rest) => control(word, rest)
  }
  return { summary, load }
}

const [name, ...args] = process.argv.slice(2)
process.exitCode = await main(name, args)

async function main(word: string | undefined, rest: readonly string[]): Promise<number> {
  if (word === undefined || word === 'help' || word === '--help' || word === '-h') {
    console.log(usage())
    return word === undefined ? 2 : 0
  }
  const program = Object.hasOwn(programs, word) ? programs[word] : undefined
  if (program === undefined) {
    console.error(`respmesh: there is no command "${word}".\n\n${usage()}`)
    return 2
  }
  try {
    return await (await program.load())(rest)
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined || !(error instanceof Error)) throw error
    console.error(`respmesh ${word}: ${error.message} [${code}]`)
    return code === 'RM_USAGE' ? 2 : 1
  }
}

function usage(): string {
  const width = Math.max(...Object.keys(programs).map((key) => key.length))
  const lines = Object.entries(programs).map(
    ([key, { summary }]) => `  ${key.padEnd(width)}  ${summary}`,
  )
  return [
    'Usage: respmesh COMMAND [OPTIONS]',
    '',
    ...lines,
    '',
    'respmesh COMMAND --help tells more.',
  ].join('\n')
}
