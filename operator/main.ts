/** `respmesh operator`: reads the command line and runs the operator until it is told to end. */
import { hostname } from 'node:os'
import { systemClock } from '../common/clock.ts'
import { operatorStopMs } from '../common/limits.ts'
import { createLog } from '../common/log.ts'
import { version } from '../common/version.ts'
import { loadKubeConfig } from './kube/index.ts'
import { Operator } from './operator.ts'
import { helpText, readFlags, resolveOptions } from './options.ts'

/** @returns 0 when it was told to end, 1 when it could not end cleanly */
export async function operator(args: readonly string[]): Promise<number> {
  const { isHelp, given } = readFlags(args)
  if (isHelp) {
    process.stdout.write(`${helpText()}\n`)
    return 0
  }
  const config = loadKubeConfig()
  const options = resolveOptions(given, {
    env: process.env,
    contextNamespace: config.getContextObject(config.getCurrentContext())?.namespace,
    fallbackIdentity: `${hostname()}-${process.pid}`,
  })
  const log = createLog({ level: options.logLevel, part: 'operator' })
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // A second signal ends it at once, by default.
    process.once(signal, () => {
      log.info({ signal }, 'operator is stopping')
      stopping.abort()
    })
  }
  log.info({ version, namespace: options.namespace, identity: options.identity }, 'operator starts')
  const running = new Operator(options, {
    config,
    clock: systemClock,
    log,
    random: () => Math.random(),
  })
  try {
    await running.run(stopping.signal)
  } finally {
    // Whatever hangs, the kubelet would end it harder; the lease runs out by itself.
    const deadline = setTimeout(() => {
      log.error({}, 'operator did not stop in time')
      process.exit(1)
    }, operatorStopMs)
    deadline.unref()
    await running.stop()
  }
  log.info({}, 'operator has stopped')
  return 0
}
