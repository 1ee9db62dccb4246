export { choosePrimary, type Observation, type Primary } from './choose-primary.ts'
export { Discovery } from './discovery.ts'
