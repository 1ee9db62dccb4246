"""What an application does with the cluster mode of redis-py, through the address that it is given.

Usage: cluster.py PORT PROTOCOL PRIMARIES [USERNAME PASSWORD]. PRIMARIES is how many the client should see. Prints `ok …`
per step.
"""

import sys
import time

import redis

port, protocol, primaries = (int(word) for word in sys.argv[1:4])
login = dict(username=sys.argv[4], password=sys.argv[5]) if len(sys.argv) > 5 else {}
names = [f"c:{number}" for number in range(100)]
values = [name.encode() for name in names]


def until(what, is_true):
    deadline = time.monotonic() + 10
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not in time: {what}")
        time.sleep(0.01)


def data(r):
    for name in names:
        assert r.set(name, name)
    assert [r.get(name) for name in names] == values
    assert len(r.get_primaries()) == primaries
    assert r.mset_nonatomic({name: name for name in names})
    assert r.mget_nonatomic(*names) == values
    assert set(r.scan_iter(match="c:*")) == set(values)
    assert r.exists(*names) == 100
    # Of nodes it asks any one.
    assert r.dbsize() == 100 or primaries > 1


def pipelines(r):
    pipe = r.pipeline()
    for name in names:
        pipe.set(name, name).get(name)
    assert pipe.execute() == [reply for value in values for reply in (True, value)]


def transactions(r):
    pipe = r.pipeline(transaction=True)
    assert pipe.set("{t}a", 1).incr("{t}a").get("{t}b").execute()[1:] == [2, None]


def scripts(r):
    answer = r.register_script("return {KEYS[1], ARGV[1]}")
    assert answer(keys=["k"], args=["v"]) == [b"k", b"v"]
    assert r.script_flush()
    assert answer(keys=["k"], args=["w"]) == [b"k", b"w"]


def blocking(r):
    r.rpush("queue", "job")
    assert list(r.blpop("queue", 0)) == [b"queue", b"job"]
    assert r.blpop("queue", 0.01) is None


def messages(r):
    pubsub = r.pubsub()
    pubsub.subscribe("news")
    pubsub.psubscribe("n*")
    shard = r.pubsub()
    shard.ssubscribe("shard")
    found = []

    def is_heard():
        r.publish("news", "a")
        r.spublish("shard", "s")
        found.append(pubsub.get_message())
        found.append(shard.get_sharded_message())
        return all(f"'{kind}'" in repr(found) for kind in ("message", "pmessage", "smessage"))

    until("the messages come", is_heard)
    pubsub.close()
    shard.close()


client = redis.RedisCluster(host="127.0.0.1", port=port, protocol=protocol, **login)
for step in (data, pipelines, transactions, scripts, blocking, messages):
    step(client)
    print("ok", step.__name__, flush=True)
