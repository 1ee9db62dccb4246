/** `respmesh verify FILE…`: checks manifests as the API server would, configurations as a sidecar would, and says all that is wrong. */
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { ConfigError, codeOf } from '../common/errors.ts'
import { parseManifests } from '../operator/api/manifest.ts'

const help = `Usage: respmesh verify [--connect] FILE…

Checks manifests of RedisProxies, and configurations of a sidecar (JSON) with the files and secrets that they name.
--connect: a configuration’s servers too, by connecting to them. Exit code 0: all are right.`

/** @returns 0 if every file is right, 1 if one is not, 2 for a wrong command line */
export async function verify(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { help: { type: 'boolean', short: 'h' }, connect: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.help === true) {
    console.log(help)
    return 0
  }
  if (positionals.length === 0) {
    throw new ConfigError('RM_USAGE', `name the files to check.\n${help}`)
  }
  let failed = 0
  for (const file of positionals) {
    try {
      const text = await read(file)
      if (isConfiguration(text)) {
        failed += (await verifyConfiguration(file, values.connect === true)) ? 0 : 1
        continue
      }
      const { proxies, operations } = parseManifests(text, file)
      const found = [
        ...proxies.map((proxy) => proxy.metadata.name),
        ...operations.map(({ kind, proxy }) => `${kind} of ${proxy}`),
      ]
      console.log(
        `${file}: ${found.length === 0 ? 'holds no RedisProxy' : `ok (${found.join(', ')})`}`,
      )
    } catch (error) {
      if (codeOf(error) === undefined || !(error instanceof Error)) throw error
      failed += 1
      console.error(error.message)
    }
  }
  return failed === 0 ? 0 : 1
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new ConfigError('RM_CONFIG_UNREADABLE', `${file} cannot be read`, { cause })
  }
}

/** Whether it is what a sidecar reads, and no manifest. */
function isConfiguration(text: string): boolean {
  return /^\s*\{/.test(text) && /"apiVersion"\s*:\s*"config\.respmesh\.io\//.test(text)
}

async function verifyConfiguration(file: string, connects: boolean): Promise<boolean> {
  const { verifyFile } = await import('../sidecar/main.ts')
  const reasons = await verifyFile(file, connects)
  for (const reason of reasons) console.error(`${file}: ${reason}`)
  if (reasons.length === 0) console.log(`${file}: ok`)
  return reasons.length === 0
}
