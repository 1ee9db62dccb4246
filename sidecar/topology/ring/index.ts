export { RingBackend, type RingModules } from './ring-backend.ts'
