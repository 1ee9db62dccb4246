"""A client that gives a reply 300 ms, unless it is told of maintenance. Prints `ready`, then how its commands went.

Usage: maintenance.py PORT SECONDS. After `ready` it counts for that long.
"""

import sys
import time

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

port, seconds = int(sys.argv[1]), float(sys.argv[2])
client = redis.Redis(
    host="127.0.0.1",
    port=port,
    protocol=3,
    socket_timeout=0.3,
    retry=Retry(NoBackoff(), 0),
    maint_notifications_config=MaintNotificationsConfig(enabled=True, relaxed_timeout=10),
)
client.ping()
print("ready", flush=True)
counted, errors = 0, []
deadline = time.monotonic() + seconds
while time.monotonic() < deadline:
    try:
        counted = client.incr("count")
    except redis.RedisError as error:
        errors.append(repr(error))
    time.sleep(0.005)
print(f"{counted} {len(errors)} {errors[:3]}", flush=True)
