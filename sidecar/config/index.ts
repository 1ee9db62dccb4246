export { hasPlace } from './admin.ts'
export { applyOverrides, type HostPort, type Overrides } from './overrides.ts'
export { type SidecarOptions, type Source, type StreamOptions, sidecarOptions } from './options.ts'
export { type Environment, helpText, readSettings } from './settings.ts'
