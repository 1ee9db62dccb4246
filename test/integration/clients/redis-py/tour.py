"""What an application does with redis-py, through the address that it is given.

Usage: tour.py PORT PROTOCOL [USERNAME PASSWORD]. Prints `ok …` per step; after `restart` it reads a line.
"""

import sys
import threading
import time

import redis
from redis.cache import CacheConfig

port, protocol = int(sys.argv[1]), int(sys.argv[2])
login = dict(username=sys.argv[3], password=sys.argv[4]) if len(sys.argv) > 4 else {}
big = b"x" * (8 << 20)


def connect(**options):
    return redis.Redis(port=port, protocol=protocol, client_name="app", **login, **options)


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
    assert len(set(r.scan_iter(count=2))) == 7
    fails(redis.ResponseError, "WRONGTYPE", lambda: r.lpush("text", "x"))
    fails(redis.ResponseError, "unknown command", lambda: r.execute_command("NO-SUCH-COMMAND"))


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for index in range(5000):
        pipe.set(f"p:{index}", index).get(f"p:{index}")
    expected = [reply for index in range(5000) for reply in (True, str(index).encode())]
    assert pipe.execute() == expected
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
    assert r.get("t") == b"other"
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
    until("the subscriptions are there", lambda: r.publish("news", "x") == 2)
    until("the messages come", lambda: len(got) >= 2)
    assert set(got) == {b"x", b"news"}, got
    thread.stop()
    thread.join()
    shard = r.pubsub()
    shard.ssubscribe("shard")
    until("the shard channel is there", lambda: r.execute_command("SPUBLISH", "shard", "s") == 1)
    found = []
    until("its message comes", lambda: found.append(shard.get_message()) or "smessage" in repr(found))
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
    assert two.set("here", "two") and two.get("here") == b"two"
    assert not r.exists("here")
    assert r.info("server")["redis_version"]
    assert r.wait(0, 10) == 0
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
    until("it is subscribed", lambda: (pubsub.get_message(), r.publish("later", "x"))[1] == 1)
    r.set("before", 1)
    print("restart", flush=True)
    sys.stdin.readline()
    assert r.get("before") == b"1"
    assert two.get("here") == b"two"

    def is_back():
        r.publish("later", "again")
        message = pubsub.get_message(timeout=0.05)
        return message is not None and message["data"] == b"again"

    until("the subscription is back", is_back)


main, other = connect(), connect(db=2)
for step in (data, pipelines, transactions, scripts, messages, blocking):
    step(main)
    print("ok", step.__name__, flush=True)
connections(main, other)
print("ok connections", flush=True)
restart(main, other)
print("ok restart", flush=True)
