import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { standaloneConfig } from '../../common/contract/proxy-config.ts'
import { proxyConfigSchema } from '../../common/contract/schema.ts'
import { ConfigError } from '../../common/errors.ts'
import { defaultLimits, defaultTiming } from '../../common/limits.ts'
import { numberSettings } from './numbers.ts'
import { applyOverrides } from './overrides.ts'
import { type SidecarOptions, sidecarOptions } from './options.ts'
import { type Environment, helpText, readSettings, settingNames, settings } from './settings.ts'

function read(args: readonly string[], env: Environment = {}): SidecarOptions {
  return sidecarOptions(readSettings(args, env), env, 'host/1')
}

function refusal(args: readonly string[], env: Environment = {}): string {
  let message = ''
  assert.throws(
    () => read(args, env),
    (error) => {
      assert.ok(error instanceof ConfigError)
      assert.equal(error.code, 'RM_USAGE')
      message = error.message
      return true
    },
  )
  return message
}

function configOf(options: SidecarOptions) {
  assert.equal(options.source.kind, 'standalone')
  return options.source.config
}

test('one server by flag is served at the default address', () => {
  const config = configOf(read(['--upstream', 'redis://db:6380']))
  assert.equal(config.upstream.mode, 'standalone')
  assert.equal(config.upstream.discovery, 'self')
  assert.deepEqual(config.upstream.members, [{ host: 'db', port: 6380, role: 'unknown' }])
  assert.deepEqual(config.listeners, [{ host: '127.0.0.1', port: 16379 }])
  assert.equal(config.admin, undefined)
})

test('variables say the same as flags, and flags win', () => {
  const env = {
    [settings.upstream.env]: 'a:1,b:2',
    [settings.listen.env]: '127.0.0.1:7000',
    [settings.admin.env]: '127.0.0.1:7001',
    [settings.unix.env]: '/run/r.sock',
    [settings.logLevel.env]: 'debug',
  }
  const config = configOf(read(['--listen', '127.0.0.1:8000'], env))
  assert.equal(config.upstream.mode, 'replication')
  assert.deepEqual(config.listeners, [
    { host: '127.0.0.1', port: 8000 },
    { unixPath: '/run/r.sock' },
  ])
  assert.deepEqual(config.admin, { host: '127.0.0.1', port: 7001 })
  assert.equal(config.logLevel, 'debug')
})

test('an empty variable counts as not set', () => {
  const config = configOf(read(['--upstream', 'a'], { [settings.listen.env]: '' }))
  assert.deepEqual(config.listeners, [{ host: '127.0.0.1', port: 16379 }])
})

test('a password in an address reaches the data path by reference and is in no configuration', () => {
  const options = read(['--upstream', 'rediss://me:hunter2%2C@db:6380'])
  const { upstream } = configOf(options)
  assert.ok(!JSON.stringify(upstream).includes('hunter2'))
  assert.equal(options.env[upstream.credentials?.password.env ?? ''], 'hunter2,')
  assert.equal(options.env[upstream.credentials?.username?.env ?? ''], 'me')
  assert.deepEqual(upstream.tls, { verify: true })
})

test('no error shows a password, wherever the mistake is', () => {
  for (const upstream of [
    'redis://me:hunter2@db:6380/3',
    'redis://me:hunter2@db:99999',
    'me:hunter2@db:99999',
    'redis://me:hun,ter2@db:6380',
    'redis://me:hun/ter2@db:6380',
    'http://me:hunter2@db',
    'redis://me:hunter2@db,redis://me:hunter3@other',
  ]) {
    const message = refusal(['--upstream', upstream])
    assert.doesNotMatch(message, /hun|ter[23]/, upstream)
    assert.match(message, /--upstream is "/)
  }
  assert.doesNotMatch(refusal(['redis://me:hunter2@db:6380']), /hunter2/)
  assert.doesNotMatch(refusal(['--upstreem=redis://me:hunter2@db:6380']), /hunter2/)
})

test('everything that is wrong is said at once, each with name, value and remedy', () => {
  const message = refusal(['--listen', 'nowhere', '--log-level', 'loud'], {
    [settings.clientPassword.env]: 'a',
    [settings.clientPasswordFile.env]: '/b',
  })
  assert.match(message, /--listen is "nowhere": expected HOST:PORT/)
  assert.match(message, /--log-level is "loud": expected one of error, warn, info, debug/)
  assert.match(message, /CLIENT_PASSWORD and \w+CLIENT_PASSWORD_FILE are both set; unset one/)
  assert.match(message, /nothing says which servers to front/)
  assert.match(message, /--help/)
})

test('passwords of clients and servers are references to variables or files', () => {
  const config = configOf(
    read(['--upstream', 'db'], {
      [settings.upstreamPasswordFile.env]: '/secrets/up',
      [settings.upstreamUsername.env]: 'app',
      [settings.clientPassword.env]: 'open sesame',
    }),
  )
  assert.deepEqual(config.upstream.credentials, {
    username: { env: settings.upstreamUsername.env },
    password: { file: '/secrets/up' },
  })
  assert.deepEqual(config.clientAuth, {
    users: [{ password: { env: settings.clientPassword.env } }],
  })
})

const streamEnv = {
  [settings.streamUrl.env]: 'https://operator.respmesh.svc:9443',
  [settings.streamTokenFile.env]: '/token',
  [settings.proxy.env]: 'shop/cache',
}

test('the stream needs a URL, a token and the name of the RedisProxy', () => {
  const { source } = read([], { ...streamEnv, [settings.id.env]: 'shop/pod-1' })
  assert.equal(source.kind, 'stream')
  assert.deepEqual(source.stream.proxy, { namespace: 'shop', name: 'cache' })
  assert.equal(source.stream.id, 'shop/pod-1')
  const message = refusal([], { [settings.streamUrl.env]: 'https://operator:9443' })
  assert.match(message, /STREAM_TOKEN_FILE is missing/)
  assert.match(message, /PROXY is missing/)
})

test('the level of a RedisProxy is obeyed over the variable, which counts until it is there', () => {
  const options = read([], { ...streamEnv, [settings.logLevel.env]: 'debug' })
  assert.equal(options.logLevel, 'debug')
  assert.equal(options.overrides.logLevel, undefined)
})

test('a token is sent without TLS to loopback only', () => {
  const plain = (url: string) => ({ ...streamEnv, [settings.streamUrl.env]: url })
  assert.equal(read([], plain('http://127.0.0.1:9000')).source.kind, 'stream')
  assert.match(refusal([], plain('http://operator:9000')), /without TLS only a loopback address/)
})

test('two sources in the environment are refused; a flag beside the stream wins and says so', () => {
  const env = { ...streamEnv, [settings.upstream.env]: 'db' }
  assert.match(refusal([], env), /are both set: the configuration comes from one of them/)
  const options = read(['--upstream', 'db'], streamEnv)
  assert.equal(options.source.kind, 'standalone')
  assert.match(options.warnings.join('\n'), /STREAM_URL has no effect beside --upstream/)
})

test('an unknown variable is warned of, one that Kubernetes makes for a Service is not', () => {
  const prefix = 'RESPMESH'
  const { warnings } = read(['--upstream', 'db'], {
    [`${prefix}_UPSTREEM`]: 'x',
    [`${prefix}_SERVICE_HOST`]: '10.0.0.1',
    [`${prefix}_PORT_9443_TCP_ADDR`]: '10.0.0.1',
    [`${prefix}_PORT`]: 'tcp://10.0.0.1:9443',
  })
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /UPSTREEM is not a variable of respmesh/)
})

test('flags win over what a file or the control plane says', () => {
  const options = read(['--config', '/f.json', '--upstream', 'x:1,y:2', '--listen', ':9'])
  assert.equal(options.source.kind, 'file')
  const base = standaloneConfig({
    members: [{ host: 'z', port: 3 }],
    listeners: [{ unixPath: '/s' }],
  })
  const config = applyOverrides(base, options.overrides)
  assert.deepEqual(
    config.upstream.members.map(({ host }) => host),
    ['x', 'y'],
  )
  assert.equal(config.upstream.mode, 'replication')
  assert.deepEqual(config.listeners, [{ host: '0.0.0.0', port: 9 }])
})

test('the help names every flag and variable', () => {
  const help = helpText()
  for (const name of settingNames) assert.ok(help.includes(settings[name].env), name)
})

test('clients may connect in several places, with TLS and without', () => {
  const tls = { certFile: '/c', keyFile: '/k' }
  const env = {
    [settings.upstream.env]: 'unix:///run/redis.sock',
    [settings.listen.env]: '127.0.0.1:7000, [::1]:7000',
    [settings.listenTls.env]: '0.0.0.0:7001',
    [settings.listenTlsCertFile.env]: '/c',
    [settings.listenTlsKeyFile.env]: '/k',
    [settings.unix.env]: '/run/a.sock,@b',
  }
  const places = [{ unixPath: '/run/a.sock' }, { unixPath: '@b' }]
  const plain = ['127.0.0.1', '::1'].map((host) => ({ host, port: 7000 }))
  const listenersWith = (more: Environment) =>
    read([], { ...env, ...more }).overrides.listeners ?? []
  const onTls = (more: object) => ({ host: '0.0.0.0', port: 7001, tls: { ...tls, ...more } })
  assert.deepEqual(listenersWith({}), [...plain, onTls({}), ...places])
  const [wish, caFile] = [
    settings.listenTlsClientCertificate.env,
    settings.listenTlsClientCaFile.env,
  ]
  const required = { clientCertificate: 'required', clientCaFile: '/ca' }
  assert.deepEqual(listenersWith({ [caFile]: '/ca' })[2], onTls(required))
  const optional = { ...required, clientCertificate: 'optional' }
  assert.deepEqual(listenersWith({ [wish]: 'optional', [caFile]: '/ca' })[2], onTls(optional))
  assert.deepEqual(configOf(read([], env)).upstream.members, [
    { host: '/run/redis.sock', port: 0, role: 'unknown' },
  ])
})

test('wrong settings of listeners, users and numbers are each named with a remedy', () => {
  const message = refusal(['--upstream', 'db'], {
    [settings.listen.env]: '127.0.0.1:7000,127.0.0.1:7000,nowhere',
    [settings.listenTls.env]: ':7001',
    [settings.listenTlsKeyFile.env]: '/k',
    [settings.listenTlsClientCertificate.env]: 'sometimes',
    [settings.unix.env]: `relative,/${'x'.repeat(107)}`,
    [settings.clientUsersDir.env]: '/nowhere/users',
    [settings.isolation.env]: 'none',
    [settings.workers.env]: '0',
    [settings.holdTimeoutMs.env]: '5s',
    [settings.argumentBytesMax.env]: '512mb',
    [settings.tlsVerify.env]: 'true',
  })
  for (const part of [
    /LISTEN is "nowhere": expected HOST:PORT/,
    /127\.0\.0\.1:7000 is given twice/,
    /LISTEN_TLS_CERT_FILE is missing/,
    /CLIENT_CERTIFICATE is "sometimes": expected one of none, optional, required/,
    /UNIX is "relative": give the socket’s path from the root/,
    /a socket’s path has at most 107 bytes/,
    /USERS_DIR is "\/nowhere\/users": it cannot be read/,
    /ISOLATION is "none": expected one of shared, perClient/,
    /WORKERS is "0": expected a number from 1 to 64/,
    /HOLD_TIMEOUT_MS is "5s": expected a number of milliseconds from 0 to 600000/,
    /ARGUMENT_BYTES_MAX is "512mb": expected a number of bytes/,
    /TLS_VERIFY is "true": it needs rediss:\/\//,
  ]) {
    assert.match(message, part)
  }
  assert.match(
    refusal(['--upstream', 'db'], { [settings.listenTlsCertFile.env]: '/c' }),
    /CERT_FILE is "\/c": it needs \w+LISTEN_TLS\b/,
  )
})

test('numbers have the bounds of the contract and the defaults that are told', () => {
  const { timing, limits, upstream, workers } = proxyConfigSchema.properties
  const schemas: Record<string, unknown> = {
    ...timing.properties,
    ...limits.properties,
    connectionsMax: upstream.properties.connectionsMax,
    workers,
  }
  const config = configOf(read(['--upstream', 'db']))
  const defaults: Record<string, unknown> = {
    ...defaultTiming,
    ...defaultLimits,
    clientIdleTimeoutMs: 0,
    readTimeLimitMs: 0,
    connectionsMax: config.upstream.connectionsMax,
    workers: 1,
    memoryBytesMax: 'that of the container',
  }
  for (const [name, { minimum, maximum, help }] of Object.entries(numberSettings)) {
    const { minimum: least, maximum: most } = schemas[name] as Record<string, unknown>
    assert.deepEqual([minimum, maximum], [least, most], name)
    const told = /\(([^()]*)\)$/.exec(help)?.[1]?.replace(/^(absent: |)|: \w+$/g, '')
    assert.equal(told, String(defaults[name]), name)
    if (minimum > 0)
      assert.ok(
        read(['--upstream', 'db'], { [numberSettings[name as 'workers'].env]: String(minimum) }),
      )
  }
  const fields = [...Object.keys(timing.properties), ...Object.keys(limits.properties)]
  assert.deepEqual(
    fields.filter((field) => !(field in numberSettings)),
    [],
  )
})

test('numbers replace those of the source one by one', () => {
  const { overrides } = read(['--config', '/f.json'], {
    [settings.holdTimeoutMs.env]: '700',
    [settings.clientsMax.env]: '5',
    [settings.isolation.env]: 'perClient',
    [settings.connectionsMax.env]: '3',
    [settings.workers.env]: '2',
  })
  const base = standaloneConfig({
    members: [{ host: 'z', port: 3 }],
    listeners: [{ unixPath: '/s' }],
  })
  const config = applyOverrides(base, overrides)
  assert.deepEqual(config.timing, { ...base.timing, holdTimeoutMs: 700 })
  assert.deepEqual(config.limits, { ...base.limits, clientsMax: 5 })
  assert.deepEqual(
    [config.upstream.isolation, config.upstream.connectionsMax, config.workers],
    ['perClient', 3, 2],
  )
  assert.deepEqual(config.upstream.members, base.upstream.members)
})

test('a zone is for a configuration that splits reads and names none', () => {
  const { overrides } = read(['--config', '/f.json'], { [settings.zone.env]: 'a' })
  const base = standaloneConfig({
    members: [{ host: 'z', port: 3 }],
    listeners: [{ unixPath: '/s' }],
  })
  assert.equal(applyOverrides(base, overrides).upstream.reads, undefined)
  const splitting = (zone?: string) => {
    const reads = { policy: 'readsToReplicas', ...(zone !== undefined && { zone }) } as const
    const upstream = { ...base.upstream, mode: 'replication', reads } as const
    return applyOverrides({ ...base, upstream }, overrides).upstream.reads?.zone
  }
  assert.equal(splitting(), 'a')
  assert.equal(splitting('b'), 'b')
})

test('the reference tells of every setting what the help tells', () => {
  const page = readFileSync(
    join(import.meta.dirname, '../../docs/reference/environment.md'),
    'utf8',
  )
  for (const name of settingNames) {
    const { env, help } = settings[name]
    const meaning = help.replaceAll('|', '\\|')
    const row = page.split('\n').find((line) => line.startsWith(`| \`${env}\` `))
    const told = name in numberSettings ? meaning.replace(/ \([^()]*\)$/, '') : meaning
    assert.ok(row?.includes(told), env)
    const shown = /\(([^()]*)\)$/.exec(help)?.[1]
    if (name in numberSettings) assert.ok(row?.includes(`| ${shown} `), `default of ${env}`)
  }
})
