/** The few flags of a command that decide how a proxy treats it, as letters. */

const letterOf: Readonly<Record<string, string>> = {
  admin: 'a',
  blocking: 'b',
  noscript: 'n',
  pubsub: 'p',
  scripting: 's',
}
const container = 'c'

/** Letters for flags and ACL categories as a server names them, without the `@`. */
export function commandLetters(words: ReadonlySet<string>, isContainer: boolean): string {
  const letters = Object.entries(letterOf).filter(([word]) => words.has(word))
  return `${letters.map(([, letter]) => letter).join('')}${isContainer ? container : ''}`
}

/** Its connection waits until something happens. */
export function isBlockingCommand(letters: string): boolean {
  return letters.includes('b')
}

/** Afterwards its connection gets what nobody asked for; PUBLISH and the like may run in scripts, these may not. */
export function isSubscribingCommand(letters: string): boolean {
  return letters.includes('p') && letters.includes('n')
}

/** Runs a program that may have no end. */
export function isScriptCommand(letters: string): boolean {
  return letters.includes('s') && !letters.includes(container)
}

/** Meant for who operates the server. */
export function isAdminCommand(letters: string): boolean {
  return letters.includes('a')
}

/** Its first argument is a sub-command. */
export function isContainer(letters: string): boolean {
  return letters.includes(container)
}
