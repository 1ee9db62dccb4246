/** A request to the admin port that asks for what there is not. */
export class UsageProblem extends Error {}
