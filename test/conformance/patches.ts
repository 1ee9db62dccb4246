/**
 * Our steps that adapt the suite: what a sidecar refuses and what looks behind it goes to the server itself, by
 * a second connection. Each step names the text that it replaces, so that another version of the suite is noticed.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Step {
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** Commands that no option of the sidecar allows yet; the suite’s own calls of them go to the server. */
export const refusedCommands = [
  'debug',
  'sync',
  'psync',
  'replicaof',
  'slaveof',
  'shutdown',
  'migrate',
]

const routing = `proc ::redis::goes_to_backend {id method} {
    if {$::backend_port eq $::port || $::redis::deferred($id)} {return 0}
    if {!$::redis::blocking($id) || $::redis::fd($id) eq {}} {return 0}
    if {[lindex $::redis::addr($id) 1] ne $::port} {return 0}
    if {[info exists ::redis::state_multi($id)]} {return 0}
    return [expr {[lsearch -exact $::refused_commands [string tolower $method]] >= 0}]
}

# Follows what the client told its own connection: database, protocol, whether a transaction is open.
proc ::redis::note_state {id method argv} {
    set method [string tolower $method]
    if {$method eq {multi}} {set ::redis::state_multi($id) 1}
    if {$method in {exec discard reset}} {unset -nocomplain ::redis::state_multi($id)}
    if {$method eq {select} && [string is integer -strict [lindex $argv 0]]} {
        set ::redis::state_db($id) [lindex $argv 0]
    } elseif {$method eq {hello} && [lindex $argv 0] in {2 3}} {
        set ::redis::state_proto($id) [lindex $argv 0]
    } elseif {$method eq {reset}} {
        set ::redis::state_db($id) 0
        set ::redis::state_proto($id) 2
    }
}

# The client speaks to the server for the length of one command.
proc ::redis::on_backend {id method argv} {
    set control [redis $::host $::backend_port 0 $::redis::tls($id)]
    if {[info exists ::redis::state_proto($id)] && $::redis::state_proto($id) == 3} {
        $control hello 3
    }
    if {[info exists ::redis::state_db($id)]} {$control select $::redis::state_db($id)}
    set own $::redis::fd($id)
    set ::redis::fd($id) $::redis::fd([string range $control 20 end])
    set errorcode [catch {::redis::__dispatch__own__ $id $method $argv} retval]
    set ::redis::fd($id) $own
    catch {$control close}
    return -code $errorcode $retval
}

proc ::redis::__dispatch__raw__ {id method argv} {
    if {[::redis::goes_to_backend $id $method]} {
        return [::redis::on_backend $id $method $argv]
    }
    set errorcode [catch {::redis::__dispatch__own__ $id $method $argv} retval]
    if {$errorcode == 0} {::redis::note_state $id $method $argv}
    return -code $errorcode $retval
}

proc ::redis::__dispatch__own__ {id method argv} {
`

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
    find: 'set ::port 6379; # port for external server\n',
    replace:
      'set ::port 6379; # port for external server\n' +
      'set ::backend_port $::env(CONFORMANCE_BACKEND_PORT)\n' +
      'set ::refused_commands $::env(CONFORMANCE_REFUSED)\n',
  },
  {
    file: 'tests/test_helper.tcl',
    find: '    } elseif {$status eq {testing}} {\n',
    replace:
      '    } elseif {$status eq {testing}} {\n        puts "\\[testing\\]: $data"; flush stdout\n',
  },
  {
    file: 'tests/test_helper.tcl',
    find: '        set s [socket [srv 0 "host"] [srv 0 "port"]]\n    }\n    fconfigure $s -translation binary\n    puts -nonewline $s "SYNC',
    replace:
      '        set s [socket $::host $::backend_port]\n    }\n    fconfigure $s -translation binary\n    puts -nonewline $s "SYNC',
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
  {
    file: 'tests/support/redis.tcl',
    find: 'proc ::redis::__dispatch__raw__ {id method argv} {\n',
    replace: routing,
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
