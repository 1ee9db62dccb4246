/**
 * Sees to it that no child outlives us, not even if we are killed: a shell that reads a pipe which only we hold.
 * When the pipe ends, it kills the processes that are still listed and removes the folder. Children run in
 * process groups of their own, so that Ctrl-C reaches us alone and we end them in order.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

const script = `
trap '' INT TERM HUP
pids=' '
dir=
while read -r verb rest; do
  case $verb in
    add) pids="$pids$rest " ;;
    remove)
      left=' '
      for pid in $pids; do [ "$pid" = "$rest" ] || left="$left$pid "; done
      pids=$left ;;
    folder) dir=$rest ;;
  esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
[ -z "$dir" ] || rm -rf "$dir"
`

export class Guard {
  private readonly shell: ChildProcess

  /** @param directory removed at the end, however it comes */
  constructor(directory: string) {
    this.shell = spawn('sh', ['-c', script], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    })
    this.shell.stdin?.on('error', () => {})
    this.shell.on('error', () => {})
    this.say(`folder ${directory}`)
  }

  add(pid: number): void {
    this.say(`add ${pid}`)
  }

  remove(pid: number): void {
    this.say(`remove ${pid}`)
  }

  /** Ends the guard; what it still has listed is killed, and the folder is removed. */
  async stop(): Promise<void> {
    if (this.shell.exitCode !== null || this.shell.pid === undefined) return
    const exited = once(this.shell, 'exit')
    this.shell.stdin?.end()
    await exited
  }

  private say(line: string): void {
    this.shell.stdin?.write(`${line}\n`)
  }
}
