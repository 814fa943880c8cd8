"""A program for test_client_fork: sends, forks, sends in the child and then in the parent, prints the statuses.

The child ends as Python ends, finalizers included: they must leave the parent's connections alone.
With a Redis, each leases its connection there, and it is printed how many are leased: before, in the child, after.
Usage: forked.py KIND URL [REDIS_URL]
"""

from __future__ import annotations

import json
import os
import sys
import warnings

import redis

from ingest.transport.client import open_client
from ingest.transport.connections import ConnectionLeases
from ingest.wire import Answer, Endpoint, Request

# Python 3.12+ warns that a forking process has threads (the pooled client's, idle): what this program is about.
warnings.simplefilter("ignore", DeprecationWarning)


def statuses(client: object) -> list[object]:
    outcomes = client.send([Request("/ok")] * 3, Endpoint(sys.argv[2]), deadline_s=5, max_bytes=1000)  # type: ignore[attr-defined]
    return [outcome.status if isinstance(outcome, Answer) else outcome.detail for outcome in outcomes]


def leased() -> int:
    return 0 if leases is None else leases.leased()


leases = ConnectionLeases(redis.Redis.from_url(sys.argv[3]), most=9) if sys.argv[3:] else None
client = open_client(sys.argv[1], connections=1, leases=leases)  # type: ignore[arg-type]
before, counts = statuses(client), [leased()]
readable, writable = os.pipe()
child = os.fork()
if child == 0:
    os.write(writable, json.dumps([statuses(client), leased()]).encode())
    client.close()
    sys.exit(0)
os.close(writable)
with os.fdopen(readable) as pipe:
    in_child, counted = json.loads(pipe.read())
_, code = os.waitpid(child, 0)
said = {"before": before, "child": in_child, "after": statuses(client), "code": code}
json.dump(said | ({"leased": [*counts, counted, leased()]} if leases else {}), sys.stdout)
client.close()
