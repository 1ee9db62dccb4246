/** Ends the main process of a container as a crash would, from the machine where that can be done. */
import { readFile, readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import type { PodObject, World } from './world.ts'

/**
 * SIGKILL where the container’s processes can be seen (a lab on this machine); elsewhere the server is told to
 * exit at once without saving or waiting for anyone, which is the nearest thing.
 */
export async function killServer(world: World, pod: string): Promise<'SIGKILL' | 'SHUTDOWN'> {
  const pid = await processOf(await world.pod(pod), 'redis-server')
  if (pid !== undefined) {
    process.kill(pid, 'SIGKILL')
    return 'SIGKILL'
  }
  await world.app(`exec ${pod} -- redis-cli shutdown nosave now force`).catch(() => '')
  return 'SHUTDOWN'
}

/** Whether the sidecar of the pod could be killed: only where its process can be seen. */
export async function killSidecar(world: World, pod: string): Promise<boolean> {
  const pid = await sidecarProcessOf(await world.pod(pod))
  if (pid === undefined) return false
  process.kill(pid, 'SIGKILL')
  return true
}

/** Of the first container; undefined where processes of containers cannot be seen. */
export async function processOf(
  { status }: PodObject,
  program: string,
): Promise<number | undefined> {
  return findProcess(idOf(status.containerStatuses?.[0]), program)
}

export async function sidecarProcessOf({ status }: PodObject): Promise<number | undefined> {
  return findProcess(idOf(status.initContainerStatuses?.[0]), 'node')
}

/** The API server of a lab; undefined where it cannot be seen. */
export async function apiServerProcess({ cluster }: World): Promise<number | undefined> {
  if (cluster.network === undefined) return undefined
  const flag = `--advertise-address=${cluster.network.nodeIp}`
  return findWhere(
    ({ command }) => programOf(command) === 'kube-apiserver' && command.includes(flag),
  )
}

type ContainerStatus = NonNullable<PodObject['status']['containerStatuses']>[number]

const idOf = (status: ContainerStatus | undefined) => status?.containerID?.replace(/^\w+:\/\//, '')

async function findProcess(
  containerId: string | undefined,
  program: string,
): Promise<number | undefined> {
  if (containerId === undefined) return undefined
  return findWhere(
    ({ cgroup, command }) => cgroup.includes(containerId) && programOf(command) === program,
  )
}

const programOf = (command: string) => basename(command.split(/[\0 ]/)[0] ?? '')

async function findWhere(
  isWanted: (process: { readonly cgroup: string; readonly command: string }) => boolean,
): Promise<number | undefined> {
  const entries = await readdir('/proc').catch(() => [])
  for (const entry of entries.filter((name) => /^\d+$/.test(name))) {
    const [cgroup = '', command = ''] = await Promise.all(
      ['cgroup', 'cmdline'].map((file) =>
        readFile(`/proc/${entry}/${file}`, 'utf8').catch(() => ''),
      ),
    )
    if (isWanted({ cgroup, command })) return Number(entry)
  }
  return undefined
}
