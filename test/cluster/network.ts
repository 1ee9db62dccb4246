/**
 * The addresses of one run: a /16 of its own, reached from the host over one veth pair, so that the
 * host can connect to pods and to the cluster addresses of Services, and two clusters can run side
 * by side. The route to the /16 doubles as the claim on it: the kernel refuses a second one.
 */
import { readFile } from 'node:fs/promises'
import { run } from './command.ts'
import { inside, type Sandbox } from './sandbox.ts'
import type { Network } from './types.ts'

export function networkAt(octet: number): Network {
  const base = `10.${octet}`
  return {
    cidr: `${base}.0.0/16`,
    podCidr: `${base}.0.0/20`,
    serviceCidr: `${base}.16.0/20`,
    apiServiceIp: `${base}.16.1`,
    nodeIp: `${base}.0.1`,
    hostIp: `${base}.255.1`,
    linkIp: `${base}.255.2`,
  }
}

/** Any that is locally administered would do. */
export const bridgeAddress = '02:72:6d:00:00:01'

const octetFirst = 230
const octetLast = 249

/** Gives the sandbox its network and the host the route to it. */
export async function connect(sandbox: Sandbox): Promise<Network> {
  const inUse = await usedAddresses()
  for (let octet = octetFirst; octet <= octetLast; octet++) {
    const network = networkAt(octet)
    if (inUse.some((address) => overlaps(address, octet))) continue
    if (await claim(sandbox, network)) {
      await configureInside(sandbox, network)
      return network
    }
  }
  throw new Error(
    `10.${octetFirst}.0.0/16 to 10.${octetLast}.0.0/16 are all in use on this machine`,
  )
}

async function claim(sandbox: Sandbox, network: Network): Promise<boolean> {
  const { hostLink, nodeLink, initPid } = sandbox
  const ip = (...args: string[]) => run('ip', args)
  await ip('link', 'add', hostLink, 'type', 'veth', 'peer', 'name', nodeLink, 'netns', `${initPid}`)
  try {
    await ip('address', 'add', `${network.hostIp}/30`, 'dev', hostLink)
    await ip('link', 'set', hostLink, 'up')
    // An absent claim, not an error: another run may have been quicker.
    await ip('route', 'add', network.cidr, 'via', network.linkIp, 'dev', hostLink)
    return true
  } catch {
    await ip('link', 'delete', hostLink)
    return false
  }
}

async function configureInside(sandbox: Sandbox, network: Network): Promise<void> {
  const commands = [
    `address add ${network.linkIp}/30 dev ${sandbox.nodeLink}`,
    `link set ${sandbox.nodeLink} up`,
    `route add default via ${network.hostIp}`,
    // With an address of its own. Else it takes the lowest of its ports' and changes as pods come
    // and go, and other pods lose the gateway, and with it DNS, until their neighbour entry expires.
    `link add cni0 address ${bridgeAddress} type bridge`,
    `address add ${network.nodeIp}/20 dev cni0`,
    'link set cni0 up',
  ]
  await inside(sandbox, 'ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` })
  // Bridged pod traffic must pass iptables, else Services do not work between pods of the node.
  const settings = ['net/ipv4/ip_forward', 'net/bridge/bridge-nf-call-iptables']
  const script = settings.map((name) => `[ ! -e /proc/sys/${name} ] || echo 1 >/proc/sys/${name}`)
  await inside(sandbox, 'sh', ['-ec', script.join('\n')])
}

/** Addresses, routes and name servers of the host as `10.233.1.0/24` or plain addresses. */
async function usedAddresses(): Promise<readonly string[]> {
  const addresses = await run('ip', ['-4', '-o', 'address', 'show'])
  const routes = await run('ip', ['-4', 'route', 'show', 'table', 'all'])
  const resolver = await readFile('/etc/resolv.conf', 'utf8').catch(() => '')
  const text = `${addresses.stdout}\n${routes.stdout}\n${resolver}`
  return text.match(/\b\d+\.\d+\.\d+\.\d+(\/\d+)?\b/g) ?? []
}

/** Whether an address or prefix touches `10.<octet>.0.0/16`. */
export function overlaps(prefix: string, octet: number): boolean {
  const [address = '', length = '32'] = prefix.split('/')
  const bits = Math.min(Number(length), 16)
  const [first = 0, second = 0] = address.split('.').map(Number)
  const shift = 16 - bits
  return ((first << 8) | second) >> shift === ((10 << 8) | octet) >> shift
}
