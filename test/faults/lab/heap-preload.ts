/** Loaded before a program of a lab whose memory is measured: at SIGUSR2 it collects garbage and tells what is left. */
import { memoryUsage } from 'node:process'
import { writeWhole } from './record.ts'

const file = process.env['LAB_HEAP_FILE'] ?? ''

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const { heapUsed: heapBytes, external: externalBytes } = memoryUsage()
  writeWhole(file, JSON.stringify({ heapBytes, externalBytes }))
})
