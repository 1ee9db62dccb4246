export { ClusterBackend, type ClusterModules } from './cluster-backend.ts'
