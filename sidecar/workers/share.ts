/** What one of several workers is told: bounds of the whole are divided, and it opens no listener itself. */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'
import { defaultLimits, memoryBytesMin } from '../../common/limits.ts'
import type { ProcessBounds } from '../overload/process-bounds.ts'

export function shareOf(
  config: ProxyConfig,
  count: number,
  bounds: ProcessBounds = {},
): ProxyConfig {
  const { limits } = config
  const part = (bound: number, min = 1) => Math.max(min, Math.ceil(bound / count))
  const memoryBytesMax = limits.memoryBytesMax ?? bounds.memoryBytesMax
  return {
    ...config,
    limits: {
      ...limits,
      clientsMax: part(limits.clientsMax),
      upstreamQueueBytesMax: part(limits.upstreamQueueBytesMax, 4096),
      upstreamQueueCommandsMax: part(
        limits.upstreamQueueCommandsMax ?? defaultLimits.upstreamQueueCommandsMax,
      ),
      // The main process takes a share of its own.
      ...(memoryBytesMax !== undefined && {
        memoryBytesMax: Math.max(memoryBytesMin, Math.floor(memoryBytesMax / (count + 1))),
      }),
    },
  }
}
