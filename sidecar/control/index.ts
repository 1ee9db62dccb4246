export { FileSource } from './file-source.ts'
export { ConfigKeeper } from './keeper.ts'
export { ConfigStore, readConfigFile } from './store.ts'
export { StreamClient, type StreamView } from './stream-client.ts'
