export { forwardRouted, isRouted } from './dispatch.ts'
export { ReplyOrder } from './reply-order.ts'
