/** What is run in which order. Pure. */
import {
  clusterLoads,
  manyClientsLoad,
  manyKeysLoad,
  policyLoads,
  type Section,
  splitLoads,
  type Stage,
  throughputLoads,
  unloadedLoad,
} from './model.ts'
import type { Options } from './options.ts'
import { targetsOf } from './targets.ts'

/** TCP and unix sockets share their rounds: they are compared with each other. */
const plans: readonly { sections: readonly Section[]; name: string; loads: Stage['loads'] }[] = [
  { sections: ['tcp', 'unix'], name: 'throughput', loads: throughputLoads },
  { sections: ['clients'], name: 'clients', loads: [manyClientsLoad] },
  { sections: ['latency'], name: 'latency', loads: [unloadedLoad] },
  { sections: ['policy'], name: 'policy', loads: policyLoads },
  { sections: ['cluster'], name: 'cluster', loads: [...clusterLoads, manyKeysLoad] },
  { sections: ['split'], name: 'split', loads: splitLoads },
]

export function stagesOf(options: Pick<Options, 'sections' | 'targets'>): readonly Stage[] {
  return plans.flatMap(({ sections, name, loads }) => {
    const wanted = sections.filter((section) => options.sections.includes(section))
    const targets = options.targets.filter((target) =>
      wanted.some((section) => targetsOf(section).includes(target)),
    )
    return targets.length === 0 ? [] : [{ name, loads, targets }]
  })
}
