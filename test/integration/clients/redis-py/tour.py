"""What an application does with redis-py, through the address that it is given.

Usage: tour.py PORT PROTOCOL TOPOLOGY [USERNAME PASSWORD]. Prints `ok …` per step; after `restart`, `disturb` and
`calm` it reads a line. TOPOLOGY is what stands behind the address.
"""

import os
import sys
import threading
import time

import redis
from redis.cache import CacheConfig

port, protocol, topology = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
login = dict(username=sys.argv[4], password=sys.argv[5]) if len(sys.argv) > 5 else {}
has_databases = topology in ("standalone", "replication")
big = b"x" * (8 << 20)


def connect(**options):
    return redis.Redis(port=port, protocol=protocol, client_name="app", **login, **options)


def ask(what):
    print(what, flush=True)
    sys.stdin.readline()


def until(what, is_true):
    deadline = time.monotonic() + 10
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.01)


def fails(error, text, call):
    try:
        call()
    except error as found:
        assert text in str(found), found
    else:
        raise AssertionError(f"no {error.__name__}")


def data(r):
    assert r.ping()
    assert r.set("text", b"w\xf6rld\r\n\0", ex=100)
    assert r.get("text") == b"w\xf6rld\r\n\0"
    assert r.get("missing") is None
    assert r.incrby("number", 5) == 5
    assert r.mget("text", "missing") == [b"w\xf6rld\r\n\0", None]
    r.hset("hash", mapping={"a": 1, "b": 2})
    assert r.hgetall("hash") == {b"a": b"1", b"b": b"2"}
    r.rpush("list", "a", "b", "c")
    assert r.lrange("list", 0, -1) == [b"a", b"b", b"c"]
    r.sadd("set", "a", "b")
    assert set(r.smembers("set")) == {b"a", b"b"}
    r.zadd("zset", {"a": 1, "b": 2.5})
    assert r.zscore("zset", "b") == 2.5
    id = r.xadd("stream", {"field": "value"})
    assert r.xrange("stream") == [(id, {b"field": b"value"})]
    r.xgroup_create("stream", "group", "0")
    (_, entries), = dict(r.xreadgroup("group", "me", {"stream": ">"})).items()
    assert b"value" in repr(entries).encode()
    assert r.xack("stream", "group", id) == 1
    assert len([key for key in set(r.scan_iter(count=2)) if b"load" not in key]) == 7
    fails(redis.ResponseError, "WRONGTYPE", lambda: r.lpush("text", "x"))
    fails(redis.ResponseError, "unknown command", lambda: r.execute_command("NO-SUCH-COMMAND"))


def keys(r):
    names = [f"m:{number}" for number in range(5)]
    assert r.mset({name: name for name in names})
    assert r.mget("m:4", "m:none", *names) == [b"m:4", None, *(name.encode() for name in names)]
    assert r.exists("m:0", "m:0", "m:none", "m:4") == 3
    assert r.unlink("m:3", "m:none") == 1
    assert r.delete(*names) == 4
    r.sadd("{s}:1", "a", "b")
    r.sadd("{s}:2", "b", "c")
    assert set(r.sinter("{s}:1", "{s}:2")) == {b"b"}
    assert r.sunionstore("{s}:3", "{s}:1", "{s}:2") == 3
    if topology == "cluster":
        fails(redis.RedisError, "slot", lambda: r.rename("{s}:3", "elsewhere"))
        fails(redis.RedisError, "slot", r.pipeline().set("m:0", 1).set("m:1", 1).execute)
    assert r.delete("{s}:1", "{s}:2", "{s}:3") == 3


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for index in range(5000):
        pipe.set(f"p:{index}", index).get(f"p:{index}")
    expected = [reply for index in range(5000) for reply in (True, str(index).encode())]
    assert pipe.execute() == expected


def large(r):
    """They are sent on as they come: were the slot moved, and the sidecar not told by a small command, TRYAGAIN came."""
    assert r.delete("big") == 0
    assert r.set("big", big)
    assert r.get("big") == big
    pipe = r.pipeline(transaction=False)
    assert pipe.get("big").get("number").execute() == [big, b"5"]


def transactions(r):
    assert r.pipeline().set("t", 1).incr("t").get("t").execute() == [True, 2, b"2"]
    with r.pipeline() as pipe:
        pipe.watch("t")
        assert pipe.get("t") == b"2"
        r.set("t", "other")
        pipe.multi()
        pipe.set("t", "mine")
        fails(redis.WatchError, "", pipe.execute)
    # Another connection wrote it; a replica may not have it yet.
    until("it is what the other wrote", lambda: r.get("t") == b"other")
    attempts = []

    def change(pipe):
        attempts.append(pipe.get("t"))
        pipe.multi()
        pipe.set("t", "mine")

    assert r.transaction(change, "t") == [True]
    assert attempts == [b"other"] and r.get("t") == b"mine"


def scripts(r):
    answer = r.register_script("return {KEYS[1], ARGV[1]}")
    assert answer(keys=["k"], args=["v"]) == [b"k", b"v"]
    assert r.script_flush()
    assert answer(keys=["k"], args=["w"]) == [b"k", b"w"]
    assert r.eval("return 7", 0) == 7
    fails(redis.exceptions.NoScriptError, "", lambda: r.evalsha("0" * 40, 0))
    library = "#!lua name=tour\nredis.register_function('tour', function(_, args) return args[1] end)"
    assert r.function_load(library, replace=True) in ("tour", b"tour")
    assert r.fcall("tour", 0, "x") == b"x"


def messages(r):
    got = []
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(news=lambda message: got.append(message["data"]))
    pubsub.psubscribe(**{"n*": lambda message: got.append(message["channel"])})
    thread = pubsub.run_in_thread(sleep_time=0.01)
    if topology == "cluster":
        # A node knows its own subscribers only.
        until("a message comes", lambda: r.publish("news", "x") is not None and b"news" in got and b"x" in got)
    else:
        until("the subscriptions are there", lambda: r.publish("news", "x") == 2)
    until("the messages come", lambda: len(got) >= 2)
    assert set(got) == {b"x", b"news"}, got
    thread.stop()
    thread.join()
    shard = r.pubsub()
    shard.ssubscribe("shard")
    found = []

    def is_heard():
        r.execute_command("SPUBLISH", "shard", "s")
        found.append(shard.get_message())
        return "smessage" in repr(found)

    until("its message comes", is_heard)
    shard.close()


def blocking(r):
    popped = []
    thread = threading.Thread(target=lambda: popped.append(r.blpop("queue", 0)))
    thread.start()
    r.rpush("queue", "job")
    thread.join()
    assert [list(item) for item in popped] == [[b"queue", b"job"]]
    assert r.blpop("queue", 0.01) is None
    read = []
    thread = threading.Thread(target=lambda: read.append(r.xread({"live": "0"}, block=5000)))
    thread.start()
    r.xadd("live", {"k": "v"}, id="1-1")
    thread.join()
    assert "1-1" in repr(read)


def connections(r, two):
    assert r.client_getname() in ("app", b"app")
    with r.client() as one:
        assert one.client_id() > 0
        assert one.client_info()["name"] == "app"
    assert r.client_list()
    if has_databases:
        assert two.set("here", "two") and two.get("here") == b"two"
        assert not r.exists("here")
    else:
        fails(redis.RedisError, "", connect(db=2).ping)
    assert r.info("server")["redis_version"]
    acknowledged = r.wait(0, 10)
    assert acknowledged == 0 or topology != "standalone"
    version = tuple(int(part) for part in r.info("server")["redis_version"].split(".")[:2])
    if protocol == 3 and version >= (7, 4):
        caching(r)


def caching(r):
    cached = connect(cache_config=CacheConfig())
    assert cached.get("t") == b"mine" and cached.get("t") == b"mine"
    r.set("t", "changed")
    until("the change is seen", lambda: cached.get("t") == b"changed")


def restart(r, two):
    pubsub = r.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe("later")

    def hears(text):
        r.publish("later", text)
        message = pubsub.get_message(timeout=0.05)
        return message is not None and message["data"] == text.encode()

    until("it is subscribed", lambda: hears("x"))
    r.set("before", 1)
    ask("restart")
    until("it is read again", lambda: r.get("before") == b"1")
    if has_databases:
        assert two.get("here") == b"two"
    until("the subscription is back", lambda: hears("again"))


class Load(threading.Thread):
    """Counts, in several ways, until it is ended: nothing fails, and nothing is counted twice or not at all."""

    def __init__(self, r):
        super().__init__()
        self.r, self.is_ending, self.error, self.count = r, False, None, 0

    def run(self):
        try:
            while not self.is_ending:
                self.count += 1
                text = str(self.count).encode()
                assert self.r.incr("load:count") == self.count
                assert self.count_both() == [self.count] * 2
                assert self.r.mset({"load:count2": text, "load:other": text})
                assert self.r.mget("load:count2", "load:other") == [text, text]
        except Exception as error:
            self.error = error

    def count_both(self):
        """A transaction whose slot went elsewhere meanwhile is refused as a whole, and says so; it is tried again."""
        while True:
            try:
                return self.r.pipeline().incr("{load}:a").incr("{load}:b").execute()
            except (redis.exceptions.TryAgainError, redis.exceptions.ExecAbortError):
                pass

    def end(self):
        self.is_ending = True
        self.join()
        if self.error is not None:
            raise self.error
        assert self.count > 0


def tour(main, other):
    load = Load(connect())
    ask("disturb")
    if topology == "cluster":
        load.start()
    for step in (data, keys, scripts, messages, blocking):
        step(main)
        print("ok", step.__name__, flush=True)
    ask("calm")
    if topology == "cluster":
        load.end()
    # Of commands on one key in one pipeline, the first may be refused with TRYAGAIN when its slot goes elsewhere between.
    pipelines(main)
    print("ok pipelines", flush=True)
    large(main)
    print("ok large", flush=True)
    transactions(main)
    print("ok transactions", flush=True)
    connections(main, other)
    print("ok connections", flush=True)
    restart(main, other)
    print("ok restart", flush=True)


tour(connect(), connect(db=2 if has_databases else 0))
# The client has timers for the move that the sidecar announced at its restart; they would keep the process for 15 s.
sys.stdout.flush()
os._exit(0)
