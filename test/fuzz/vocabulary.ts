/**
 * What programs are made of: commands as lines of words, in which `{name}` is drawn by `words.ts`, `{a|b}` is one of
 * these (or nothing), and the rest is literal. Only commands whose reply two servers give alike: none that shows a
 * clock, a process, the memory, or the order of a hash table (its seed is drawn as a server starts).
 */

const lines = (text: string): readonly string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')

/** Commands that only touch the keys that they name. */
export const keyed: readonly string[] = lines(`
  SET {str} {value} {|GET} {|NX|XX} {|KEEPTTL}
  SET {str} {value} EXAT {far} {|GET}
  SET {any} {int}
  GET {any}
  GETDEL {str}
  GETEX {str} {|PERSIST}
  GETEX {str} PXAT {farMs}
  GETSET {str} {value}
  SETNX {str} {value}
  SETEX {str} {0|x|-1} {value}
  MSET {str} {value} {any} {int}
  MSETNX {str} {value} {str} {value}
  MGET {any} {any} {any}
  APPEND {str} {value}
  STRLEN {str}
  INCR {any}
  DECR {str}
  INCRBY {str} {int}
  DECRBY {str} {int}
  INCRBYFLOAT {str} {float}
  SETRANGE {str} {offset} {small}
  GETRANGE {str} {int} {int}
  SUBSTR {str} {int} {int}
  LCS {str} {str} {|LEN|IDX}
  SETBIT {bits} {offset} {0|1}
  GETBIT {bits} {offset}
  BITCOUNT {bits}
  BITCOUNT {bits} {int} {int} {|BYTE|BIT}
  BITPOS {bits} {0|1} {int} {int} {|BIT}
  BITOP {AND|OR|XOR|NOT} {bits} {bits}
  BITOP {AND|OR|XOR} {bits} {bits} {str}
  BITFIELD {bits} SET {u8|i5|u63} {offset} {int} GET u4 {#1|7} OVERFLOW {SAT|WRAP|FAIL} INCRBY i5 100 {int}
  BITFIELD_RO {bits} GET {u8|i64|u64} {offset}
  LPUSH {list} {value} {value}
  RPUSH {list} {small} {value} {small}
  RPUSHX {list} {small}
  LPUSHX {list} {value}
  LPOP {list} {|2}
  RPOP {list} {|0|3}
  LLEN {list}
  LRANGE {list} {int} {int}
  LINDEX {list} {int}
  LSET {list} {int} {value}
  LINSERT {list} {BEFORE|AFTER} {small} {small}
  LREM {list} {int} {small}
  LTRIM {list} {int} {int}
  LPOS {list} {small} RANK {1|-1|0} COUNT {0|2}
  LMOVE {list} {list} {LEFT|RIGHT} {LEFT|RIGHT}
  RPOPLPUSH {list} {list}
  LMPOP 2 {list} {list} {LEFT|RIGHT} {|COUNT} {2}
  BLPOP {list} {list} {soon}
  BRPOP {list} {soon}
  BLMOVE {list} {list} {LEFT|RIGHT} {LEFT|RIGHT} {soon}
  BRPOPLPUSH {list} {list} {soon}
  BLMPOP {soon} 2 {list} {list} LEFT COUNT 2
  SADD {ints} {int} {int} {int}
  SADD {sets} {value} {small}
  SREM {ints} {int} {int}
  SREM {sets} {small}
  SCARD {any}
  SISMEMBER {sets} {small}
  SMISMEMBER {any} {int} {small}
  SMEMBERS {ints}
  SMOVE {ints} {ints} {int}
  SMOVE {sets} {sets} {small}
  SINTER {ints} {ints}
  SUNION {ints} {ints} {ints}
  SDIFF {ints} {ints}
  SINTERCARD 2 {ints} {ints} LIMIT {0|1}
  SUNIONSTORE {ints} {ints} {ints}
  SDIFFSTORE {sets} {sets} {sets}
  SPOP {ints} 1000
  SPOP {none}
  SRANDMEMBER {ints} 1000
  SRANDMEMBER {none} {|-2}
  SSCAN {ints} {0|x} {|MATCH|COUNT} {1*}
  ZADD {zset} {|NX|XX|GT|LT} {|CH} {float} {small} {int} {small}
  ZADD {zset} INCR {float} {small}
  ZINCRBY {zset} {float} {small}
  ZREM {zset} {small} {small}
  ZCARD {zset}
  ZCOUNT {zset} {bound} {bound}
  ZLEXCOUNT {zset} {lex} {lex}
  ZSCORE {zset} {small}
  ZMSCORE {zset} {small} {small}
  ZRANK {zset} {small}
  ZREVRANK {zset} {small}
  ZRANGE {zset} {int} {int} {|REV} {|WITHSCORES}
  ZRANGE {zset} {bound} {bound} BYSCORE LIMIT {0|1} {2|-1} {|WITHSCORES}
  ZRANGE {zset} {lex} {lex} BYLEX {|REV}
  ZRANGEBYSCORE {zset} {bound} {bound} WITHSCORES
  ZREVRANGE {zset} 0 -1 {|WITHSCORES}
  ZREVRANGEBYLEX {zset} {lex} {lex}
  ZRANGESTORE {zset} {zset} {int} {int}
  ZREMRANGEBYRANK {zset} {int} {int}
  ZREMRANGEBYSCORE {zset} {bound} {bound}
  ZREMRANGEBYLEX {zset} {lex} {lex}
  ZPOPMIN {zset} {|2}
  ZPOPMAX {zset} {|2|-1}
  ZMPOP 2 {zset} {zset} {MIN|MAX} COUNT 2
  BZPOPMIN {zset} {soon}
  BZPOPMAX {zset} {zset} {soon}
  BZMPOP {soon} 1 {zset} {MIN|MAX}
  ZUNIONSTORE {zset} 2 {zset} {ints} WEIGHTS {1|2} {float} AGGREGATE {SUM|MIN|MAX}
  ZINTERSTORE {zset} 2 {zset} {zset}
  ZUNION 2 {zset} {zset} {|WITHSCORES}
  ZINTER 2 {zset} {zset} {|WITHSCORES}
  ZDIFF 2 {zset} {zset} {|WITHSCORES}
  ZINTERCARD 2 {zset} {zset}
  ZRANDMEMBER {none} {|3}
  ZSCAN {zset} 0 MATCH {|1|30|a}
  HSET {hash} {small} {small} {small} {int}
  HSET {big} {small} {value}
  HMSET {hash} {small} {small}
  HSETNX {hash} {small} {small}
  HGET {hash} {small}
  HGET {big} {small}
  HMGET {hash} {small} {small}
  HMGET {big} {small} {small}
  HGETALL {hash}
  HKEYS {hash}
  HVALS {hash}
  HLEN {any}
  HSTRLEN {big} {small}
  HEXISTS {hash} {small}
  HDEL {hash} {small} {small}
  HINCRBY {hash} {small} {int}
  HINCRBYFLOAT {hash} {small} {float}
  HRANDFIELD {hash} 1000 {|WITHVALUES}
  HSCAN {hash} 0 {|MATCH} {*}
  XADD {stream} {|NOMKSTREAM} {entry} {small} {value}
  XADD {stream} MAXLEN {|~|=} 3 {entry} f {small}
  XADD {stream} MINID {entry} {entry} f {small}
  XLEN {stream}
  XRANGE {stream} {-|0|1-2|(1-1} {+|2|5-5} {|COUNT} {2}
  XREVRANGE {stream} + -
  XDEL {stream} {entry} {entry}
  XTRIM {stream} MAXLEN {|=|~} {int}
  XSETID {stream} {entry}
  XREAD {|COUNT} {2} STREAMS {stream} {stream} {0|1-1|$} {0|2}
  XREAD BLOCK {5|1} STREAMS {stream} $
  XREAD COUNT 2 BLOCK 4 STREAMS {stream} {0|9-9}
  XGROUP CREATE {stream} {group} {0|$|1-1} {|MKSTREAM}
  XGROUP CREATECONSUMER {stream} {group} {who}
  XGROUP DELCONSUMER {stream} {group} {who}
  XGROUP SETID {stream} {group} {0|$}
  XGROUP DESTROY {stream} {group}
  XREADGROUP GROUP {group} {who} {|COUNT} {2} STREAMS {stream} {>|0}
  XREADGROUP GROUP {group} {who} {|NOACK} STREAMS {stream} >
  XREADGROUP GROUP {group} {who} BLOCK 3 STREAMS {stream} >
  XACK {stream} {group} {entry} {entry}
  XPENDING {stream} {group}
  XCLAIM {stream} {group} {who} 0 {entry} {|JUSTID|FORCE}
  XAUTOCLAIM {stream} {group} {who} 0 {0|1-1} {|COUNT} {2}
  XINFO STREAM {stream}
  XINFO GROUPS {stream}
  GEOADD {geo} {|NX|XX} {|CH} {longitude} {latitude} {small}
  GEODIST {geo} {small} {small} {|m|km|mi|x}
  GEOPOS {geo} {small} {small}
  GEOHASH {geo} {small} {small}
  GEOSEARCH {geo} FROMLONLAT {longitude} {latitude} BYRADIUS 5000 km {ASC|DESC} {|WITHCOORD|WITHDIST|WITHHASH}
  GEOSEARCH {geo} FROMMEMBER {small} BYBOX 4000 4000 km ASC COUNT 3 {|ANY}
  GEOSEARCHSTORE {geo} {geo} FROMLONLAT {longitude} {latitude} BYRADIUS 9000 km
  GEORADIUS {geo} {longitude} {latitude} 3000 km {|WITHDIST} ASC
  GEORADIUS {geo} {longitude} {latitude} 3000 km STORE {geo}
  GEORADIUSBYMEMBER {geo} {small} 3000 km ASC
  PFADD {hll} {value} {small} {small}
  PFCOUNT {hll} {hll}
  PFMERGE {hll} {hll} {hll}
  DEL {any} {any}
  UNLINK {any} {any}
  EXISTS {any} {any} {any}
  TYPE {any}
  TOUCH {any} {any}
  EXPIREAT {any} {far} {|NX|XX|GT|LT}
  PEXPIREAT {any} {farMs} {|NX|XX}
  EXPIREAT {any} {1|0|-1|x}
  EXPIRETIME {any}
  PEXPIRETIME {any}
  TTL {any}
  PTTL {any}
  PERSIST {any}
  RENAME {alike} {free}
  RENAMENX {alike} {free}
  COPY {alike} {free} {|REPLACE}
  DUMP {dumpable}
  RESTORE {free} 0 {dump} {|REPLACE}
  RESTORE {free} {farMs} {dump} REPLACE ABSTTL
  OBJECT ENCODING {any}
  OBJECT REFCOUNT {any}
  OBJECT {NOSUCH|FREQ|HELP} {|x}
  SORT {list} {|ASC|DESC} {|ALPHA} {|LIMIT 0 3}
  SORT {list} ALPHA BY {nosort|w*} GET # {|STORE} {free}
  SORT {ints} {|DESC}
  SORT {sets} ALPHA STORE {free}
  SORT_RO {list} ALPHA
  EVAL {script} 1 {any} {small} {value}
  EVAL_RO {script} 1 {any} {small}
  EVAL {relay} 1 {str} {SET|APPEND|get} {small}
  EVAL {relay} 1 {list} {LPUSH|RPUSH|LRANGE} {small} {small}
  EVAL {relay} 1 {ints} {SMEMBERS|SADD|TYPE} {|7}
  EVAL {relay} 1 {hash} {HGETALL|HLEN|NOSUCH}
  EVAL {restoring} 2 {dumpable} {free}
  EVAL {failing} {0|1|-1|x} {small}
`)

/** Commands that need no key and leave no trace. */
export const keyless: readonly string[] = lines(`
  PING
  PING {value}
  ECHO {value}
  ECHO {small}
  COMMAND COUNT
  COMMAND INFO {get|nosuch}
  COMMAND GETKEYS {SET|MSET|nosuch|EVAL} {str} 1 {str}
  COMMAND DOCS {get|nosuch}
  COMMAND NOSUCH
  CONFIG GET {maxmemory-samples|nosuch}
  ACL WHOAMI
  ACL USERS
  ACL NOSUCH
  SELECT {99|x|-1}
  CLUSTER {KEYSLOT|INFO|NOSUCH} {|a}
  READONLY
  READWRITE
  ASKING
  WAIT 0 {0|1}
  WAIT 1 {1|5}
  WAIT x 1
  MEMORY NOSUCH
  LATENCY HELP
  OBJECT HELP
  CLIENT HELP
  CLIENT NOSUCH
  CLIENT UNBLOCK 999999999
  CLIENT KILL ID 999999999
  CLIENT KILL nobody
  CLIENT GETREDIR
  CLIENT TRACKINGINFO
  CLIENT CACHING {YES|NO|x}
  CLIENT NO-EVICT {on|off|x}
  CLIENT UNPAUSE
  CLIENT REPLY NOSUCH
  CLIENT
  CLIENT SETNAME {name}
  CLIENT GETNAME
  SCRIPT KILL
  SCRIPT HELP
  FUNCTION KILL
  FUNCTION HELP
  FUNCTION NOSUCH
  INFO nosuch
  ROLE
  LOLWUT VERSION 1 x
  NOSUCH {value} {small}
  nosuch|x {small}
  MODULE LIST
  DEBUG PROTOCOL {string|integer|double|null|array|set|map|verbatim|true|false|bignum}
  EVAL {answer} 0
  EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
  BLPOP {none} x
  XREAD BLOCK x STREAMS {none} $
  EXEC extra
  HSET
  GET
  SUBSCRIBE
  UNWATCH
`)

/** Commands that act on, or tell of, what all clients have in common. */
export const common: readonly string[] = lines(`
  DBSIZE
  KEYS {anyPattern}
  SCAN 0 MATCH {anyPattern} COUNT 1000 {|TYPE} {string|list|zset}
  SCAN {x|99999999999999999999}
  RANDOMKEY x
  MOVE {any} {0|1|2}
  COPY {alike} {free} DB {0|1} {|REPLACE}
  SWAPDB {0|1} {1|2}
  FLUSHDB {|SYNC|ASYNC}
  FLUSHALL
  SCRIPT LOAD {answer}
  SCRIPT EXISTS {sha} {sha}
  SCRIPT FLUSH {|SYNC}
  EVALSHA {sha} 0
  EVALSHA {sha} 0
  EVALSHA_RO {sha} 1 {str}
  FUNCTION LOAD {|REPLACE} {library}
  FUNCTION LOAD REPLACE {library}
  FUNCTION LIST {|WITHCODE}
  FUNCTION DELETE {fuzz|nosuch}
  FUNCTION FLUSH
  FUNCTION STATS
  FUNCTION DUMP
  FUNCTION RESTORE {small}
  FCALL {answer|nosuch} 1 {str} {value}
  FCALL answer 0
  FCALL_RO {answer|nosuch} 1 {str} {small}
  PUBLISH {channel} {value}
  PUBLISH {channel} {small}
  SPUBLISH {channel} {value}
  PUBSUB CHANNELS {news|nosuch}
  PUBSUB NUMSUB {channel} {channel}
  PUBSUB NUMPAT
  PUBSUB SHARDNUMSUB {channel}
  CONFIG SET maxmemory-samples {5|7|x}
  CONFIG RESETSTAT
  SLOWLOG RESET
`)

/** What blocks until another client feeds it. */
export const blocking: readonly string[] = lines(`
  BLPOP {list} {list} 0
  BRPOP {list} 0
  BLMOVE {list} {list} LEFT RIGHT 0
  BLMPOP 0 1 {list} LEFT
  BZPOPMIN {zset} 0
  BZMPOP 0 2 {zset} {zset} MAX
  XREAD BLOCK 0 STREAMS {stream} $
  XREADGROUP GROUP {group} {who} BLOCK 0 STREAMS {stream} >
`)

/** Subscriptions; never so many that the order in which a server lists them shows. */
export const subscriptions: readonly string[] = lines(`
  SUBSCRIBE {channel}
  SUBSCRIBE {channel} {channel}
  UNSUBSCRIBE {channel}
  PSUBSCRIBE {pattern}
  PUNSUBSCRIBE {pattern}
  PUNSUBSCRIBE
  SSUBSCRIBE {channel}
  SUNSUBSCRIBE {channel}
`)

/** Logins that servers queue in a transaction: all but those that change the protocol. */
export const logins: readonly string[] = lines(`
  HELLO
  HELLO x
  HELLO 4
  AUTH x
  AUTH default x
  AUTH a b c
  AUTH
`)

/** What changes the connection itself. */
export const connection: readonly string[] = lines(`
  HELLO {|2|3|3|4|x}
  HELLO {2|3} SETNAME {name}
  HELLO 3 AUTH default x
  HELLO 2 NOSUCH
  AUTH x
  AUTH default x
  AUTH a b c
  AUTH
  SELECT {0|0|1|2}
  SELECT {0|1}
  RESET
  CLIENT TRACKING {on|off} {|NOLOOP|OPTIN|OPTOUT}
  CLIENT NO-EVICT off
`)
