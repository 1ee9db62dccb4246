/** Real servers, sidecars and an operator in network namespaces, and faults between them: see `lab.ts`. */
export { Client, ErrorReply, type Reply, textOf } from './client.ts'
export { Lab, type LabOptions, streamPort } from './lab.ts'
export { namespaceObstacle } from './namespaces.ts'
export { type Cut, Network, type Undo } from './network.ts'
export { type RecordEntry, wallMs } from './record.ts'
export { LabServer, type RestartOptions, type StartAs, serverPort } from './server.ts'
export { LabSidecar } from './sidecar.ts'
