/** Going over to another configuration between commands, so that no client notices more than a wait. */
import type { ProxyConfig } from '../../common/contract/proxy-config.ts'

/** The steps, of one process or of several. */
export interface SwitchSteps {
  /** Holds new commands and waits for those in flight. @throws UpstreamError RM_UPSTREAM_TIMEOUT */
  hold(): Promise<void>
  apply(config: ProxyConfig): void | Promise<void>
  /** Waits, within bounds, until clients that need a connection of their own have it again. */
  settle(): Promise<void>
  /** Lets commands through, unless somebody paused them. */
  endHold(): void | Promise<void>
}

/** @throws UpstreamError RM_UPSTREAM_TIMEOUT when commands in flight did not end in time; nothing has changed then */
export async function switchOver(steps: SwitchSteps, config: ProxyConfig): Promise<void> {
  try {
    await steps.hold()
    await steps.apply(config)
    await steps.settle()
  } finally {
    await steps.endHold()
  }
}
