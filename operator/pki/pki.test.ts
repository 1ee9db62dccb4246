/** Certificates over years, with the clock handed in. */
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { test } from 'node:test'
import { silentLog } from '../../common/log.ts'
import { type PkiStore, ensurePki } from './keeper.ts'
import {
  type PkiMaterial,
  authorityLifetimeMs,
  authorityOverlapMs,
  bundleOf,
  decodeMaterial,
  encodeMaterial,
  endOf,
  servingLifetimeMs,
} from './material.ts'

const names = ['respmesh-operator.respmesh.svc', 'respmesh-operator.respmesh.svc.cluster.local']

/** A place for the certificates as several replicas see it. */
class Shared implements PkiStore {
  nowMs = Date.now()
  data: Record<string, string> | undefined
  version = 0
  readonly modules = {
    store: this,
    clock: { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs },
    log: silentLog,
  }

  async read() {
    if (this.data === undefined) return { material: undefined, version: undefined }
    return { material: decodeMaterial(this.data), version: String(this.version) }
  }

  async write(material: PkiMaterial, version: string | undefined) {
    const current = this.data === undefined ? undefined : String(this.version)
    if (version !== current) return false
    this.data = encodeMaterial(material)
    this.version += 1
    return true
  }

  ensure(): Promise<PkiMaterial> {
    return ensurePki(names, this.modules)
  }
}

test('the first certificates are what a TLS client wants to see', async () => {
  const { signer, serving } = await new Shared().ensure()
  const [authority, leaf] = [new X509Certificate(signer.cert), new X509Certificate(serving.cert)]
  assert.ok(authority.ca)
  assert.ok(!leaf.ca)
  assert.ok(leaf.checkIssued(authority) && leaf.verify(authority.publicKey))
  assert.equal(leaf.checkHost(names[1] ?? ''), names[1])
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  assert.match(leaf.serialNumber, /^[4-7][0-9A-F]{31}$/)
  assert.notEqual(leaf.serialNumber, authority.serialNumber)
})

test('a client that trusts the bundle is served, before and after the certificate is replaced', async () => {
  const shared = new Shared()
  // TLS has a clock of its own, which is the wall's.
  shared.nowMs -= servingLifetimeMs * 0.7
  const first = await shared.ensure()
  const server = createServer({ cert: first.serving.cert, key: first.serving.key })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const serialOf = async (ca: string) => {
    const { port } = server.address() as AddressInfo
    const socket = connect({ port, host: '127.0.0.1', ca, servername: names[0] ?? '' })
    await once(socket, 'secureConnect')
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  try {
    const before = await serialOf(bundleOf(first))
    shared.nowMs += servingLifetimeMs * 0.7
    const second = await shared.ensure()
    server.setSecureContext({ cert: second.serving.cert, key: second.serving.key })
    // The client's trust is as old as the authority, which is the same.
    const after = await serialOf(bundleOf(first))
    assert.notEqual(after, before)
    assert.equal(second.signer.cert, first.signer.cert)
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('nothing is renewed early, and what is stored survives the Secret', async () => {
  const shared = new Shared()
  const first = await shared.ensure()
  shared.nowMs += servingLifetimeMs * 0.6
  assert.deepEqual(await shared.ensure(), first)
  assert.equal(shared.version, 1)
})

test('over three years every certificate shown is trusted by every bundle of the hour before', async () => {
  const shared = new Shared()
  const hourMs = 3_600_000
  const end = shared.nowMs + 3 * authorityLifetimeMs
  let former = await shared.ensure()
  let changes = 0
  // In long steps where nothing happens, by the hour where something does.
  let stepMs = hourMs
  for (; shared.nowMs < end; shared.nowMs += stepMs) {
    const current = await shared.ensure()
    const isChanged = JSON.stringify(current) !== JSON.stringify(former)
    stepMs = isChanged || current.next !== undefined ? hourMs : 48 * hourMs
    if (isChanged) changes += 1
    const leaf = new X509Certificate(current.serving.cert)
    const trusted = certificatesOf(bundleOf(former))
    assert.ok(
      trusted.some((authority) => leaf.checkIssued(authority) && leaf.verify(authority.publicKey)),
    )
    assert.ok(endOf(current.serving.cert) > shared.nowMs + servingLifetimeMs / 5)
    assert.ok(certificatesOf(bundleOf(current)).length <= 3)
    former = current
  }
  assert.ok(changes > 40, `${changes}`)
})

test('a new authority is announced for a while before it signs', async () => {
  const shared = new Shared()
  const first = await shared.ensure()
  shared.nowMs = endOf(first.signer.cert) - authorityLifetimeMs * 0.3
  const announced = await shared.ensure()
  assert.equal(announced.signer.cert, first.signer.cert)
  assert.ok(announced.next && bundleOf(announced).includes(announced.next.cert))
  shared.nowMs += authorityOverlapMs
  const promoted = await shared.ensure()
  assert.equal(promoted.signer.cert, announced.next?.cert)
  assert.deepEqual(promoted.retired, [first.signer.cert])
})

test('two replicas that start at once agree', async () => {
  const shared = new Shared()
  const found = await Promise.all([shared.ensure(), shared.ensure(), shared.ensure()])
  assert.equal(new Set(found.map(bundleOf)).size, 1)
})

test('a Secret that someone spoilt is made anew', async () => {
  const shared = new Shared()
  const first = await shared.ensure()
  shared.data = { ...encodeMaterial(first), 'signer.crt': 'nonsense' }
  const second = await shared.ensure()
  assert.notEqual(second.signer.cert, first.signer.cert)
  shared.data = { 'tls.crt': 'x' }
  assert.ok(await shared.ensure())
})

test('other names mean another certificate by the same authority', async () => {
  const shared = new Shared()
  const first = await shared.ensure()
  const other = await ensurePki(['elsewhere.svc'], shared.modules)
  assert.equal(other.signer.cert, first.signer.cert)
  assert.equal(new X509Certificate(other.serving.cert).checkHost('elsewhere.svc'), 'elsewhere.svc')
})

function certificatesOf(bundle: string): X509Certificate[] {
  return bundle
    .split(/(?<=-----END CERTIFICATE-----\n)/)
    .filter((text) => text.trim() !== '')
    .map((text) => new X509Certificate(text))
}
