/**
 * Our steps that adapt the suite: it says which test it is at, goes on after one that failed, and reads the stream of
 * replication from the server itself. Each names the text that it replaces, so that another version is noticed.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Step {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** After a failure that left the client of the tests within a transaction or with replies unread. */
const recovery = `proc recover_client {} {
    set id [string range [srv 0 client] 20 end]
    if {$::redis::deferred($id)} {reconnect} else {[srv 0 client] discard}
}

proc test {name code {okpattern undefined} {tags {}}} {
`

export const steps: readonly Step[] = [
  {
    file: 'tests/test_helper.tcl',
    find: '        set s [socket [srv 0 "host"] [srv 0 "port"]]\n    }\n    fconfigure $s -translation binary\n    puts -nonewline $s "SYNC',
    replace:
      '        set s [socket $::host $::env(CONFORMANCE_SERVER_PORT)]\n    }\n    fconfigure $s -translation binary\n    puts -nonewline $s "SYNC',
  },
  {
    file: 'tests/test_helper.tcl',
    find: '    } elseif {$status eq {testing}} {\n',
    replace:
      '    } elseif {$status eq {testing}} {\n        puts "\\[testing\\]: $data"; flush stdout\n',
  },
  {
    file: 'tests/support/test.tcl',
    find: 'proc test {name code {okpattern undefined} {tags {}}} {\n',
    replace: recovery,
  },
  // A test that failed must not take the next ones along.
  {
    file: 'tests/support/test.tcl',
    find: '            set msg [string range $error 10 end]\n            lappend details $msg\n            if {!',
    replace:
      '            set told $::errorInfo; catch recover_client; set ::errorInfo $told\n' +
      '            set msg [string range $error 10 end]\n            lappend details $msg\n            if {!',
  },
]

/** Adapts the copy of the suite in `directory`. @throws Error when a text is not there exactly once. */
export function adaptSuite(directory: string): void {
  for (const { file, find, replace } of steps) {
    const path = join(directory, file)
    const [before, after, ...more] = readFileSync(path, 'utf8').split(find)
    if (before === undefined || after === undefined || more.length > 0) {
      throw new Error(
        `${file} is not the one that is known: ${JSON.stringify(find)} is expected once`,
      )
    }
    writeFileSync(path, before + replace + after)
  }
}
