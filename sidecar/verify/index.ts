export { type Verified, verifyConfig } from './verify.ts'
export { reasonOf, reasonsOf } from './findings.ts'
