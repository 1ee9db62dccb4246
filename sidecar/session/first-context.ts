/** What sessions share before a configuration is obeyed. */
export const firstContext = {
  backend: undefined,
  authenticator: undefined,
  isPerClient: false,
  isPaused: false,
  isHandedOver: false,
  isFinishing: false,
  hasPrimary: false,
  messages: undefined,
} as const
