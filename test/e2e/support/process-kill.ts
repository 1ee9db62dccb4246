/** Ends the main process of a container as a crash would, from the machine where that can be done. */
import { readFile, readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import type { World } from './world.ts'

/**
 * SIGKILL where the container’s processes can be seen (a lab on this machine); elsewhere the server is told to
 * exit at once without saving or waiting for anyone, which is the nearest thing.
 */
export async function killServer(world: World, pod: string): Promise<'SIGKILL' | 'SHUTDOWN'> {
  const { status } = await world.pod(pod)
  const id = status.containerStatuses?.[0]?.containerID?.replace(/^\w+:\/\//, '')
  const pid = id === undefined ? undefined : await findProcess(id, 'redis-server')
  if (pid !== undefined) {
    process.kill(pid, 'SIGKILL')
    return 'SIGKILL'
  }
  await world.app(`exec ${pod} -- redis-cli shutdown nosave now force`).catch(() => '')
  return 'SHUTDOWN'
}

/** Whether the sidecar of the pod could be killed: only where its process can be seen. */
export async function killSidecar(world: World, pod: string): Promise<boolean> {
  const { status } = await world.pod(pod)
  const id = status.initContainerStatuses?.[0]?.containerID?.replace(/^\w+:\/\//, '')
  const pid = id === undefined ? undefined : await findProcess(id, 'node')
  if (pid === undefined) return false
  process.kill(pid, 'SIGKILL')
  return true
}

async function findProcess(containerId: string, program: string): Promise<number | undefined> {
  const entries = await readdir('/proc').catch(() => [])
  for (const entry of entries.filter((name) => /^\d+$/.test(name))) {
    const [cgroup = '', command = ''] = await Promise.all(
      ['cgroup', 'cmdline'].map((file) =>
        readFile(`/proc/${entry}/${file}`, 'utf8').catch(() => ''),
      ),
    )
    const name = basename(command.split(/[\0 ]/)[0] ?? '')
    if (cgroup.includes(containerId) && name === program) return Number(entry)
  }
  return undefined
}
