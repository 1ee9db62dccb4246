import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseManifests } from '../api/manifest.ts'
import { readAccess } from './secrets.ts'

const text = `apiVersion: respmesh.io/v1alpha1
kind: RedisProxy
metadata: {name: cache, namespace: shop}
spec:
  backend:
    endpoints: [{host: a}]
    auth: {secretRef: {name: app}, adminSecretRef: {name: admin}}
    tls: {caSecretRef: {name: ca}}
    sentinel: {name: m, endpoints: [{host: s}], auth: {secretRef: {name: watchers}}}
  proxy:
    auth: {secretRef: {name: clients}}
    tls: {secretRef: {name: listener}}
    admin: {auth: {secretRef: {name: humans}}}
`
const complete: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  app: { password: 'a' },
  admin: { username: 'root', password: 'b' },
  ca: { 'ca.crt': 'pem' },
  clients: { username: 'c', password: 'd' },
  listener: { 'tls.crt': 'pem', 'tls.key': 'pem' },
  humans: { password: 'e' },
  watchers: { password: 'f' },
}

function read(secrets: Readonly<Record<string, Readonly<Record<string, string>>>>) {
  const [proxy] = parseManifests(text, 'test').proxies
  assert.ok(proxy)
  return readAccess(proxy, { readSecret: async (_namespace, name) => secrets[name] })
}

test('the controller logs in with its own Secret, and learns which have user names', async () => {
  const { credentials, tls, secretKeys, missing } = await read(complete)
  assert.deepEqual([credentials?.username, credentials?.password.reveal()], ['root', 'b'])
  assert.deepEqual(tls, { verify: true, ca: 'pem' })
  assert.equal(secretKeys.get('clients')?.has('username'), true)
  assert.deepEqual(missing, [])
})

test('what the controller needs itself must be there', async () => {
  const { admin: _admin, ...others } = complete
  await assert.rejects(read(others), { code: 'RM_SECRET_UNREADABLE', message: /shop\/admin/ })
  await assert.rejects(read({ ...complete, ca: { wrong: 'pem' } }), {
    code: 'RM_SECRET_UNREADABLE',
    message: /the key ca\.crt of the Secret shop\/ca/,
  })
})

test('what only sidecars need is told, and hinders nothing', async () => {
  const { app: _app, humans: _humans, watchers: _watchers, ...others } = complete
  const { credentials, missing } = await read({ ...others, listener: { 'tls.crt': 'pem' } })
  assert.equal(credentials?.username, 'root')
  assert.equal(missing.length, 4)
  assert.match(missing[0] ?? '', /^the Secret shop\/app, which RedisProxy cache names, is missing$/)
  assert.match(missing[1] ?? '', /the key tls\.key of the Secret shop\/listener/)
  assert.match(missing[2] ?? '', /shop\/humans/)
  assert.match(missing[3] ?? '', /shop\/watchers/)
})
