/** Going over to another configuration between commands, so that no client notices more than a wait. */
/** The steps, of one process or of several. */
export interface SwitchSteps {
  /** Holds new commands and waits for those in flight; closes the clients of those that do not end in time. */
  hold(): Promise<void>
  /** Waits, within bounds, until clients that need a connection of their own have it again. */
  settle(): Promise<void>
  /** Lets commands through, unless somebody paused them. */
  endHold(): void | Promise<void>
}

/** @throws what `apply` throws */
export async function switchOver(
  steps: SwitchSteps,
  apply: () => void | Promise<void>,
): Promise<void> {
  try {
    await steps.hold()
    await apply()
    await steps.settle()
  } finally {
    await steps.endHold()
  }
}
