"""A program for test_connections_farm: opens as many connections as it may, says how it went, holds them until told.

It asks host after host (127.0.0.1, 127.0.0.2, ..) for PER_HOST answers at the same time until it has WANTED, whatever
its share is. Prints `held`, or `none` and how long it was told to wait; ends when its input ends.
Usage: holding.py KIND REDIS_URL PORT MOST WANTED PER_HOST
"""

from __future__ import annotations

import os
import sys

import redis

from ingest.errors import SlowDown
from ingest.telemetry import setup_logs
from ingest.transport.client import open_client
from ingest.transport.connections import ConnectionLeases
from ingest.wire import Answer, Endpoint, Request

setup_logs("json")  # to stderr
kind, redis_url = sys.argv[1:3]
port, most, wanted, per_host = (int(argument) for argument in sys.argv[3:])
leases = ConnectionLeases(redis.Redis.from_url(redis_url), most=most)
# A busy machine may need longer than the usual 30 s to open them all.
client = open_client(kind, connections=wanted, leases=leases, keep_alive_s=600)  # type: ignore[arg-type]
try:
    for number in range(1, wanted // per_host + 1):
        requests = [Request(f"/{os.getpid()}-{number}/{per_host}")] * per_host
        got = client.send(requests, Endpoint(f"http://127.0.0.{number}:{port}"), deadline_s=60, max_bytes=1000)
        assert all(isinstance(outcome, Answer) for outcome in got), got
    said = "held"
except SlowDown as full:
    said = f"none {full.retry_after_s}"
sys.stdout.write(f"{said}\n")
sys.stdout.flush()
sys.stdin.read()
client.close()
