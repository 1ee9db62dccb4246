/** Nodes on one bridge, each in a namespace of its own, and what can go wrong between them. */
import { Namespace } from './namespaces.ts'

export interface NodePlace {
  readonly name: string
  readonly address: string
}

/** Packets that do not arrive: those of `from` to `to`, all or those of connections to `port` at `at`. */
export interface Cut {
  readonly from: string
  readonly to: string
  readonly port?: { readonly at: 'from' | 'to'; readonly number: number }
}

/** Ends one fault; the others stay. */
export type Undo = () => Promise<void>

interface Node {
  readonly place: NodePlace
  readonly namespace: Namespace
  readonly hubLink: string
}

export class Network {
  private readonly hub: Namespace
  private readonly nodes = new Map<string, Node>()

  private constructor(hub: Namespace) {
    this.hub = hub
  }

  static async open(places: readonly NodePlace[]): Promise<Network> {
    const network = new Network(await Namespace.open())
    try {
      await network.hub.run('ip', ['-batch', '-'], 'link add hub type bridge\nlink set hub up\n')
      await Promise.all(places.map((place, index) => network.join(place, index)))
      return network
    } catch (error) {
      network.close()
      throw error
    }
  }

  namespaceOf(name: string): Namespace {
    return this.node(name).namespace
  }

  addressOf(name: string): string {
    return this.node(name).place.address
  }

  /** The cable is pulled: nothing in or out, and nobody is told. */
  async unplug(name: string): Promise<Undo> {
    await this.hub.run('ip', ['link', 'set', this.node(name).hubLink, 'down'])
    return () => this.plug(name)
  }

  /** One way. */
  async cut({ from, to, port }: Cut): Promise<Undo> {
    const match = port === undefined ? [] : portMatch(port)
    return this.rule(to, ['-s', this.addressOf(from), ...match, '-j', 'DROP'])
  }

  /** Both ways, everything. */
  async part(a: string, b: string): Promise<Undo> {
    return together([this.cut({ from: a, to: b }), this.cut({ from: b, to: a })])
  }

  /** Both ways, connections of `client` to the port at `server` only. */
  async partPort(client: string, server: string, number: number): Promise<Undo> {
    return together([
      this.cut({ from: client, to: server, port: { at: 'to', number } }),
      this.cut({ from: server, to: client, port: { at: 'from', number } }),
    ])
  }

  /** Whoever of `from` speaks to the port is hung up on, at once. */
  async reject(from: string, to: string, number: number): Promise<Undo> {
    const match = ['-p', 'tcp', '--dport', String(number)]
    const target = ['-j', 'REJECT', '--reject-with', 'tcp-reset']
    return this.rule(to, ['-s', this.addressOf(from), ...match, ...target])
  }

  /** Every other connection of `client` to the port at `from` goes to `to` instead, as behind a Service of Kubernetes. */
  async share(
    client: string,
    { from, to, port }: { readonly from: string; readonly to: string; readonly port: number },
  ): Promise<void> {
    const match = ['-d', this.addressOf(from), '-p', 'tcp', '--dport', String(port)]
    const half = ['-m', 'statistic', '--mode', 'random', '--probability', '0.5']
    const target = ['-j', 'DNAT', '--to-destination', `${this.addressOf(to)}:${port}`]
    const rule = ['-w', '-t', 'nat', '-A', 'OUTPUT', ...match, ...half, ...target]
    await this.namespaceOf(client).run('iptables', rule)
  }

  /** Within each group all is well; nothing goes between the two. */
  async split(left: readonly string[], right: readonly string[]): Promise<Undo> {
    return together(left.flatMap((a) => right.map((b) => this.part(a, b))))
  }

  /** Ends all cuts; links are up. */
  async heal(): Promise<void> {
    await Promise.all(
      [...this.nodes.values()].map(async ({ place, namespace }) => {
        await Promise.all([namespace.run('iptables', ['-w', '-F']), this.plug(place.name)])
      }),
    )
  }

  close(): void {
    for (const { namespace } of this.nodes.values()) namespace.close()
    this.hub.close()
  }

  private async join(place: NodePlace, index: number): Promise<void> {
    const namespace = await Namespace.open()
    const hubLink = `port${index}`
    this.nodes.set(place.name, { place, namespace, hubLink })
    const commands = [
      `link add ${hubLink} type veth peer name eth0 netns ${namespace.pid}`,
      `link set ${hubLink} master hub`,
      `link set ${hubLink} up`,
    ]
    await this.hub.run('ip', ['-batch', '-'], `${commands.join('\n')}\n`)
    const inside = [
      'link set lo up',
      `address add ${place.address}/24 dev eth0`,
      'link set eth0 up',
    ]
    await namespace.run('ip', ['-batch', '-'], `${inside.join('\n')}\n`)
  }

  private async rule(at: string, rule: readonly string[]): Promise<Undo> {
    const namespace = this.namespaceOf(at)
    await namespace.run('iptables', ['-w', '-A', 'INPUT', ...rule])
    return async () => {
      // After `heal` there is no such rule any more.
      await namespace.run('iptables', ['-w', '-D', 'INPUT', ...rule]).catch(() => {})
    }
  }

  private async plug(name: string): Promise<void> {
    await this.hub.run('ip', ['link', 'set', this.node(name).hubLink, 'up'])
  }

  private node(name: string): Node {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`no node ${name} in this network`)
    return node
  }
}

function portMatch({ at, number }: NonNullable<Cut['port']>): readonly string[] {
  return ['-p', 'tcp', at === 'to' ? '--dport' : '--sport', String(number)]
}

async function together(faults: readonly Promise<Undo>[]): Promise<Undo> {
  const undoes = await Promise.all(faults)
  return async () => {
    await Promise.all(undoes.map((undo) => undo()))
  }
}
