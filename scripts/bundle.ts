/**
 * Bundles the program into `dist/`: `respmesh.mjs` and the chunks that it loads for the word it is called with,
 * so that a sidecar loads nothing of the operator. The bundle needs Node and nothing else. Another folder may be named;
 * what is in it is removed.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { type Metafile, build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const outdir = resolve(process.argv[2] ?? join(root, 'dist'))
const entry = join(outdir, 'respmesh.mjs')

/** Packages that must never be in what a sidecar loads. */
const foreignToSidecar = /node_modules\/(@kubernetes|ioredis|yaml|@peculiar|typebox|ajv)\//

// Bundled CommonJS asks for `require` (Node's own modules only) and, where it may start workers, for paths.
const banner = [
  "import { createRequire as respmeshCreateRequire } from 'node:module'",
  'const require = respmeshCreateRequire(import.meta.url)',
  'const __filename = import.meta.filename, __dirname = import.meta.dirname',
].join(';')

await rm(outdir, { recursive: true, force: true })
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { respmesh: 'cli/main.ts' },
  outdir,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'eof',
  banner: { js: banner },
  metafile: true,
  logLevel: 'warning',
})

const loaded = chunksOf(metafile, 'sidecar/main.ts')
const foreign = loaded.flatMap((file) =>
  Object.keys(metafile.outputs[file]?.inputs ?? {}).filter((input) => foreignToSidecar.test(input)),
)
if (foreign.length > 0) {
  throw new Error(`the sidecar’s chunks hold what it must not load: ${foreign.join(', ')}`)
}
// See common/http.ts: an import statement for it costs 15 MB of memory.
const heavy = loaded.filter((file) =>
  metafile.outputs[file]?.imports.some(({ path }) => /^(node:)?https?$/.test(path)),
)
if (heavy.length > 0) throw new Error(`node:http is imported in what a sidecar loads: ${heavy}`)
const sidecarBytes = loaded.reduce((sum, file) => sum + (metafile.outputs[file]?.bytes ?? 0), 0)
const files = await readdir(outdir, { recursive: true, withFileTypes: true })
const count = files.filter((file) => file.isFile()).length
const kilobytes = (bytes: number) => `${Math.round(bytes / 1024)} KiB`
console.log(
  `${relative(root, entry)} (${kilobytes((await stat(entry)).size)}) in ${count} files; a sidecar loads ${kilobytes(sidecarBytes)}`,
)

/** The output that holds `source` and all that it imports at once. */
function chunksOf(meta: Metafile, source: string): readonly string[] {
  const start = Object.entries(meta.outputs).find(([, output]) => output.entryPoint === source)?.[0]
  if (start === undefined) throw new Error(`${source} is in no chunk of its own`)
  const seen = new Set<string>()
  const queue = [start]
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue
    seen.add(file)
    for (const { path, kind } of meta.outputs[file]?.imports ?? []) {
      if (kind === 'import-statement' && path in meta.outputs) queue.push(path)
    }
  }
  return [...seen]
}
