"""A program for test_client_fork: sends, forks, sends in the child and then in the parent, prints the statuses.

The child ends as Python ends, finalizers included: they must leave the parent's connections alone.
Usage: forked.py KIND URL
"""

from __future__ import annotations

import json
import os
import sys
import warnings

from ingest.transport.client import open_client
from ingest.wire import Answer, Endpoint, Request

# Python 3.12+ warns that a forking process has threads (the pooled client's, idle): what this program is about.
warnings.simplefilter("ignore", DeprecationWarning)


def statuses(client: object) -> list[object]:
    outcomes = client.send([Request("/ok")] * 3, Endpoint(sys.argv[2]), deadline_s=5, max_bytes=1000)  # type: ignore[attr-defined]
    return [outcome.status if isinstance(outcome, Answer) else outcome.detail for outcome in outcomes]


client = open_client(sys.argv[1], connections=1)  # type: ignore[arg-type]
before = statuses(client)
readable, writable = os.pipe()
child = os.fork()
if child == 0:
    os.write(writable, json.dumps(statuses(client)).encode())
    client.close()
    sys.exit(0)
os.close(writable)
with os.fdopen(readable) as pipe:
    in_child = json.loads(pipe.read())
_, code = os.waitpid(child, 0)
json.dump({"before": before, "child": in_child, "after": statuses(client), "code": code}, sys.stdout)
client.close()
