/** What the tour of a server consists of: the same for every version, so that errors are compared as well. */

/** One client’s commands, sent at once; words are separated by spaces, `~` stands for a space in a word. */
export interface Scene {
  readonly name: string
  readonly commands: string
}

export const scenes: readonly Scene[] = [
  {
    name: 'keys and strings',
    commands: `
      SET k v EX 100 | GET k | SET k w KEEPTTL GET | GETEX k PERSIST | TTL k | GETDEL k | GET k | APPEND s abc
      SETRANGE s 5 x | GETRANGE s 0 -1 | INCRBYFLOAT f 1.5 | INCR s | MSET a 1 b 2 | MGET a b none | LCS a b
      COPY a c | OBJECT ENCODING a | TYPE a | EXPIRE a 100 NX | EXPIRETIME none | RENAME c d | UNLINK d none
      EXISTS a a none | DBSIZE | SCAN 0 MATCH a COUNT 100 | KEYS b | TOUCH a | SORT none | RANDOMKEY extra`,
  },
  {
    name: 'lists, sets and sorted sets',
    commands: `
      RPUSH l a b c d | LPOS l c | LMPOP 1 l LEFT COUNT 2 | LMOVE l m LEFT RIGHT | LRANGE m 0 -1 | LINSERT l AFTER d e
      SADD x 1 2 3 | SMISMEMBER x 1 9 | SINTERCARD 2 x x LIMIT 2 | SISMEMBER x 2 | SPOP none | SDIFF x none
      ZADD z 1 a 2.5 b 3 c | ZRANGE z 0 -1 WITHSCORES | ZSCORE z b | ZMPOP 1 z MIN | ZRANGEBYLEX z - +
      ZADD z INCR 1 b | ZRANDMEMBER none | ZUNION 1 z WITHSCORES | ZRANK z c WITHSCORE | BITCOUNT s | SETBIT bits 7 1
      PFADD hll a b c | PFCOUNT hll | GEOADD g 13.361389 38.115556 p | GEODIST g p p | GEOPOS g p none`,
  },
  {
    name: 'hashes and what is new with them',
    commands: `
      HSET h f 1 g 2 | HGETALL h | HINCRBYFLOAT h f 0.5 | HRANDFIELD none | HEXPIRE h 100 FIELDS 1 f
      HPERSIST h FIELDS 1 f | HTTL h FIELDS 2 f none | HSETEX h EX 100 FIELDS 1 n 5 | HGETEX h PERSIST FIELDS 1 n
      HGETDEL h FIELDS 1 g | HLEN h | HSTRLEN h f | HEXPIRE h 0 FIELDS 1 f | HEXISTS h f | HKEYS h`,
  },
  {
    name: 'what only some versions have',
    commands: `
      SET e v | SET e w IFEQ v | DELIFEQ e w | DELEX e IFEQ w | DIGEST e | MSETEX 1 e v EX 100 | GET e
      VADD v VALUES 2 1 0 one | VADD v VALUES 2 0 1 two | VCARD v | VDIM v | VSIM v VALUES 2 1 0.1 COUNT 1 | VREM v one
      SCRIPT SHOW ffff | COMMANDLOG LEN nope | XDELEX st IDS 1 1-1 | CLIENT CAPA redirect | HOTKEYS GET
      CLUSTER SLOT-STATS | OBJECT FREQ none | NOT-A-COMMAND a~b | GET | CONFIG NOPE | SET a b NOPE`,
  },
  {
    name: 'streams',
    commands: `
      XADD st 1-1 f v | XADD st 1-2 f w | XLEN st | XRANGE st - + | XREAD COUNT 1 STREAMS st 0 | XGROUP CREATE st g 0
      XREADGROUP GROUP g c COUNT 1 STREAMS st > | XPENDING st g | XACK st g 1-1 | XAUTOCLAIM st g c 0 1-2
      XADD st NOMKSTREAM MAXLEN = 1 1-3 f x | XSETID st 9-9 | XDEL st 1-3 | XTRIM st MINID 9 | XREVRANGE st + -`,
  },
  {
    name: 'transactions',
    commands: `
      MULTI | SET t 1 | INCR t | LRANGE t 0 -1 | EXEC | MULTI | SET t 5 | DISCARD | GET t | MULTI | NOPE | SET t 6
      EXEC | GET t | WATCH t | MULTI | INCR t | EXEC | EXEC | DISCARD | MULTI | MULTI | EXEC | UNWATCH | WATCH t
      SET t 8 | MULTI | GET t | EXEC | MULTI | BLPOP none 0 | XREAD BLOCK 0 STREAMS none $ | EXEC | GET t`,
  },
  {
    name: 'scripts and functions',
    commands: `
      EVAL return~{KEYS[1],ARGV[1],1.9,false} 1 k a | EVAL return~redis.call('GET','t') 0 | EVAL_RO return~1 0
      EVALSHA ffffffffffffffffffffffffffffffffffffffff 0 | SCRIPT LOAD return~7
      EVALSHA 59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9 0 | SCRIPT EXISTS 59b6ab2fbe0ee4b25733de0f62e6cda4899ef8e9
      EVAL return~redis.error_reply('MY~error') 0 | EVAL return~redis.setresp(3) 0 | EVAL nonsense 0
      FUNCTION LOAD REPLACE #!lua~name=lib\\nredis.register_function('twice',function(k,a)~return~a[1]*2~end)
      FCALL twice 0 21 | FCALL_RO twice 0 21 | FUNCTION LIST LIBRARYNAME lib | FUNCTION DELETE lib | FCALL twice 0 1`,
  },
  {
    name: 'what belongs to a session',
    commands: `
      CLIENT SETNAME tourist | CLIENT GETNAME | SELECT 3 | SET in three | GET in | SELECT 0 | GET in | SELECT 99
      ECHO hello | PING | PING back | CLIENT NO-TOUCH on | CLIENT NO-EVICT off
      OBJECT HELP extra | WAIT 0 10 | CLIENT TRACKINGINFO extra | RESET | CLIENT GETNAME | READONLY | READWRITE
      CONFIG GET maxmemory | COMMAND COUNT extra | COMMAND GETKEYS SET a b | PUBLISH nobody hi | PUBSUB NUMSUB nobody
      LOLWUT VERSION x | MEMORY USAGE none | LATENCY RESET-NOT | FLUSHALL | DBSIZE`,
  },
]

/** The commands of a scene as words. */
export function commandsOf(scene: Scene): readonly (readonly string[])[] {
  return scene.commands.split(/[|\n]/).flatMap((text) => {
    const words = text.trim().split(/ +/).filter(Boolean)
    return words.length === 0 ? [] : [words.map(wordOf)]
  })
}

function wordOf(word: string): string {
  return word.replaceAll('~', ' ').replaceAll('\\n', '\n')
}
