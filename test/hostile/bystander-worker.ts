/**
 * The innocent client, in a thread of its own so that what the attacker does to this process is not counted: asks
 * the proxy and, for comparison, the server itself the same thing again and again, each answer with a new number.
 */
import { createConnection } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { workerData } from 'node:worker_threads'
import { Cell, type BystanderPlaces, lateMs } from './bystander.ts'

const { port, controlPort, shared, password } = workerData as BystanderPlaces
const cells = new Int32Array(shared)

/** Asks for ever; a connection that ends is an error, and opened again. */
async function watch(target: number, worstCell: number, errorCell: number): Promise<void> {
  for (let round = 0; ; ) {
    const socket = createConnection({ port: target, host: '127.0.0.1', noDelay: true })
    const ended = new Promise<void>((resolve) => {
      socket.on('error', () => {}).once('close', () => resolve())
    })
    let received = ''
    let onData = (): void => {}
    socket.setEncoding('latin1').on('data', (text: string) => {
      received += text
      onData()
    })
    let isOpen = true
    if (password !== undefined && target === port) {
      const isIn = new Promise<void>((resolve) => (onData = resolve))
      socket.write(`AUTH ${password}\r\n`)
      await Promise.race([isIn, ended])
    }
    while (isOpen) {
      round += 1
      const text = `by${round}`
      const expected = `$${text.length}\r\n${text}\r\n`
      received = ''
      const start = performance.now()
      const watchdog = setInterval(() => note(worstCell, performance.now() - start), 20)
      const answered = new Promise<void>((resolve) => {
        onData = () => {
          if (received.length >= expected.length) resolve()
        }
      })
      socket.write(`*2\r\n$4\r\nECHO\r\n$${text.length}\r\n${text}\r\n`)
      await Promise.race([answered, ended])
      clearInterval(watchdog)
      const waited = performance.now() - start
      note(worstCell, waited)
      isOpen = !socket.destroyed
      if (isOpen && received !== expected) {
        Atomics.add(cells, errorCell, 1)
        socket.destroy()
        isOpen = false
      }
      const isProxy = worstCell === Cell.worst
      Atomics.add(cells, isProxy ? Cell.rounds : Cell.controlRounds, 1)
      if (waited > lateMs) Atomics.add(cells, isProxy ? Cell.late : Cell.controlLate, 1)
      await delay(2)
    }
    Atomics.add(cells, errorCell, 1)
    await ended
    await delay(20)
  }
}

function note(cell: number, milliseconds: number): void {
  const tenths = Math.round(10 * milliseconds)
  if (tenths > Atomics.load(cells, cell)) Atomics.store(cells, cell, tenths)
}

await Promise.all([
  watch(port, Cell.worst, Cell.errors),
  watch(controlPort, Cell.controlWorst, Cell.controlErrors),
])
