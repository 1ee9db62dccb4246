/** The settings about where clients connect. */
import type { Listener } from '../../common/contract/proxy-config.ts'
import { parseHostPort, unixPathBytesMax } from '../../common/redis/url.ts'
import type { HostPort } from './overrides.ts'
import type { Problems } from './problems.ts'
import { type Given, type GivenSettings, settings } from './settings.ts'

type ListenerTls = NonNullable<Listener['tls']>

const listenersMax = 8
const tlsNames = [
  'listenTlsCertFile',
  'listenTlsKeyFile',
  'listenTlsClientCertificate',
  'listenTlsClientCaFile',
] as const

export function readListeners(
  given: GivenSettings,
  problems: Problems,
): readonly Listener[] | undefined {
  const { listen, listenTls, unix } = given
  const tls = readTls(given, problems)
  const listeners: Listener[] = [
    ...readAddresses(listen, problems),
    ...readAddresses(listenTls, problems).map((address) => (tls ? { ...address, tls } : address)),
    ...readPaths(unix, problems),
    ...readAddresses(given.listenRaw, problems).map((address) => ({ ...address, raw: true })),
  ]
  const places = listeners
    .map(({ host, port, unixPath }) => unixPath ?? `${host}:${port}`)
    .filter((place) => !place.endsWith(':0'))
  const twice = places.find((place, index) => places.indexOf(place) !== index)
  if (twice !== undefined) problems.note(`${twice} is given twice as a place where clients connect`)
  if (listeners.length > listenersMax) {
    problems.note(
      `${listeners.length} places where clients connect are given; at most ${listenersMax}`,
    )
  }
  return listeners.length === 0 ? undefined : listeners
}

function readAddresses(given: Given | undefined, problems: Problems): HostPort[] {
  if (given === undefined) return []
  return given.value.split(',').flatMap((part) => {
    const address = readAddress({ ...given, value: part.trim() }, problems)
    return address === undefined ? [] : [address]
  })
}

export function readAddress(given: Given | undefined, problems: Problems): HostPort | undefined {
  if (given === undefined) return undefined
  try {
    return parseHostPort(given.value)
  } catch {
    problems.add(given, 'expected HOST:PORT, e.g. 127.0.0.1:16379; port 0 takes a free one')
    return undefined
  }
}

function readPaths(given: Given | undefined, problems: Problems): Listener[] {
  if (given === undefined) return []
  return given.value.split(',').map((part) => {
    const unixPath = part.trim()
    if (!/^[/@]./.test(unixPath)) {
      const what = 'give the socket’s path from the root, e.g. /run/respmesh/redis.sock, or @NAME'
      problems.add({ ...given, value: unixPath }, what)
    } else if (Buffer.byteLength(unixPath) > unixPathBytesMax) {
      problems.add(given, `a socket’s path has at most ${unixPathBytesMax} bytes`)
    }
    return { unixPath }
  })
}

const asked = ['none', 'optional', 'required'] as const

function readTls(given: GivenSettings, problems: Problems): ListenerTls | undefined {
  if (given.listenTls === undefined) {
    for (const name of tlsNames) {
      const setting = given[name]
      if (setting !== undefined) problems.add(setting, `it needs ${settings.listenTls.env}`)
    }
    return undefined
  }
  const { listenTlsCertFile: cert, listenTlsKeyFile: key } = given
  for (const [setting, { env }] of [
    [cert, settings.listenTlsCertFile],
    [key, settings.listenTlsKeyFile],
  ] as const) {
    if (setting === undefined) {
      problems.note(`${env} is missing: ${given.listenTls.origin} needs a certificate and its key`)
    }
  }
  const clients = readClientCertificates(given, problems)
  if (cert === undefined || key === undefined) return undefined
  return { certFile: cert.value, keyFile: key.value, ...clients }
}

function readClientCertificates(
  given: GivenSettings,
  problems: Problems,
): Pick<ListenerTls, 'clientCertificate' | 'clientCaFile'> {
  const { listenTlsClientCertificate: wish, listenTlsClientCaFile: caFile } = given
  // Who names an authority wants its certificates.
  const clientCertificate =
    wish === undefined ? caFile && 'required' : asked.find((known) => known === wish.value)
  if (wish !== undefined && clientCertificate === undefined) {
    problems.add(wish, `expected one of ${asked.join(', ')}`)
  }
  const isAsked = clientCertificate === 'optional' || clientCertificate === 'required'
  if (wish !== undefined && isAsked && caFile === undefined) {
    problems.add(wish, `it needs ${settings.listenTlsClientCaFile.env}: who signs the certificates`)
  }
  if (caFile !== undefined && clientCertificate === 'none') {
    problems.add(caFile, `it has no effect with ${settings.listenTlsClientCertificate.env}=none`)
  }
  return {
    ...(clientCertificate && { clientCertificate }),
    ...(caFile && { clientCaFile: caFile.value }),
  }
}
