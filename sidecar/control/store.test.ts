import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ProxyConfig, standaloneConfig } from '../../common/contract/proxy-config.ts'
import { silentLog } from '../../common/log.ts'
import { ConfigStore, readConfigFile } from './store.ts'

const proxy = { namespace: 'shop', name: 'cache' }
const base = standaloneConfig({
  members: [{ host: 'a', port: 1 }],
  listeners: [{ host: '127.0.0.1', port: 0 }],
})
const at = (epoch: number, uid = 'u'): ProxyConfig => ({
  ...base,
  epoch,
  proxy: { ...proxy, uid },
})

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'respmesh-store-'))
  context.after(() => rmSync(path, { recursive: true }))
  return path
}

test('what was saved is loaded, and only its owner may read it', async (context) => {
  const stateDir = folder(context)
  const store = new ConfigStore({ stateDir, proxy }, { log: silentLog })
  assert.equal(await store.load(), undefined)
  await store.save(at(3))
  assert.equal((await store.load())?.epoch, 3)
  assert.equal(statSync(join(stateDir, 'config.json')).mode & 0o777, 0o600)
})

test('of the stored and the bootstrap configuration the newer one is taken', async (context) => {
  const stateDir = folder(context)
  const bootstrapFile = join(stateDir, 'bootstrap.json')
  const store = new ConfigStore({ stateDir, bootstrapFile, proxy }, { log: silentLog })
  writeFileSync(bootstrapFile, JSON.stringify(at(2)))
  assert.equal((await store.load())?.epoch, 2)
  await store.save(at(3))
  assert.equal((await store.load())?.epoch, 3)
  writeFileSync(bootstrapFile, JSON.stringify(at(4)))
  assert.equal((await store.load())?.epoch, 4)
})

test('a stored configuration that is torn, foreign or not valid is left aside', async (context) => {
  const stateDir = folder(context)
  const store = new ConfigStore({ stateDir, proxy }, { log: silentLog })
  const foreign = { ...at(1), proxy: { ...proxy, name: 'other', uid: 'u' } }
  for (const text of ['{"apiVersion":', JSON.stringify(foreign), '{}', '']) {
    writeFileSync(join(stateDir, 'config.json'), text)
    assert.equal(await store.load(), undefined)
  }
})

test('without a folder that can be written nothing is kept, and nothing old is believed', async (context) => {
  const file = join(folder(context), 'a-file')
  writeFileSync(file, 'x')
  const store = new ConfigStore({ stateDir: join(file, 'below'), proxy }, { log: silentLog })
  assert.equal(await store.load(), undefined)
  await store.save(at(1))
  assert.equal(readFileSync(file, 'utf8'), 'x')
})

test('an error about a file names the file and the field', async (context) => {
  const file = join(folder(context), 'config.json')
  await assert.rejects(readConfigFile(file), { code: 'RM_CONFIG_UNREADABLE' })
  writeFileSync(file, JSON.stringify({ ...at(1), listeners: [] }))
  await assert.rejects(readConfigFile(file), (error: Error) => {
    assert.ok(error.message.startsWith(file))
    assert.match(error.message, /listeners/)
    return true
  })
})
