export { type Address, choosePrimary, type Observation, type Primary } from './choose-primary.ts'
export { Discovery } from './discovery.ts'
export { lookAround } from './look-around.ts'
export { SentinelDiscovery } from './sentinel/sentinel-discovery.ts'
