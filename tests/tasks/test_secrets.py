"""Secrets: a planted key is used, refused, logged about and archived around, and stands nowhere afterwards."""

from __future__ import annotations

import pytest

from ingest.payloads import unpack
from tests.sandbox.conftest import TABLE
from tests.tasks.flower import flower
from tests.waiting import until

VARIABLE = "NASDAQ_DATA_LINK_API_KEY"
REFUSED_KEY, GOOD_KEY = "planted-4f6c1e0b9a-key", "sandbox-key"
CALL = {"dataset": "bars", "instruments": ["AAPL"], "interval": "1d", "start": "2015-01-01", "end": "2015-03-01"}
TASK = "tasks.fetch.nasdaq_data_link"


def everything_kept(farm):
    """Yield (where, bytes) of every log, table, Redis value and archived payload."""
    for log in (farm.folder / "logs").iterdir():
        yield log.name, log.read_bytes()
    for (table,) in farm.rows("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"):
        yield table, "\n".join(str(tuple(row)) for row in farm.rows(f"SELECT t::text FROM {table} t")).encode()
    redis = farm.context.redis
    for key in redis.scan_iter():
        yield str(key), key + (redis.dump(key) or b"") + str(value_of(redis, key)).encode()
    rows = farm.rows("SELECT payload_key, segment, position, size_bytes FROM fetch_log WHERE segment IS NOT NULL")
    assert rows
    for row in rows:
        blob = (farm.folder / "archive" / row.segment).read_bytes()
        end = row.position + row.size_bytes + 200
        start = blob.index(b"\x28\xb5\x2f\xfd", row.position)  # zstd's magic number
        yield row.payload_key, str(unpack(blob[start:end])).encode()
    for segment in (farm.folder / "archive").rglob("*.seg"):
        yield segment.name, segment.read_bytes()


def value_of(redis, key):
    match redis.type(key):
        case b"hash":
            return redis.hgetall(key)
        case b"list":
            return redis.lrange(key, 0, -1)
        case b"set":
            return redis.smembers(key)
        case b"zset":
            return redis.zrange(key, 0, -1)
        case _:
            return redis.get(key)


@pytest.mark.parametrize(
    ("key", "is_good"), [(GOOD_KEY, True), (REFUSED_KEY, False)], ids=["a key that works", "a key that is refused"]
)
def test_a_key_is_used_and_then_found_nowhere(farm, key, is_good):
    farm.env[VARIABLE] = key
    farm.worker()
    farm.beat()
    with flower(farm) as api, farm.client() as client:
        until(lambda: "one@farm" in api.read("/api/workers?refresh=1"), within_s=60, what="Flower to see the worker")
        farm.sandbox.arm("nasdaq_data_link", "status", times=1, args={"status": 500})
        farm.sandbox.arm("nasdaq_data_link", "reset", times=1)
        farm.sandbox.arm("nasdaq_data_link", "status", times=1, args={"status": 302})
        sent = [client.send_task(TASK, kwargs=CALL) for _ in range(4)]
        for one in sent:
            one.get(timeout=60)
        state = "done" if is_good else "dead"
        farm.wait_for("SELECT count(*) > 0 FROM jobs WHERE state = :state", state=state)
        farm.wait_for("SELECT count(*) = 0 FROM jobs WHERE state NOT IN ('done', 'dead')", within_s=60)
        until(lambda: set(api.read("/api/tasks")) >= {one.id for one in sent}, what="Flower to show the tasks")
        shown = [(path, str(api.read(path)).encode()) for path in ("/api/tasks", "/api/workers?refresh=1")]
    assert {row.outcome for row in farm.rows("SELECT outcome FROM fetch_log")} > {"failed"}
    needle = (key if not is_good else f"api_key={key}").encode()
    found = [where for where, kept in [*everything_kept(farm), *shown] if needle in kept or key.encode() in kept]
    assert found == []
    assert farm.sandbox.get(f"{TABLE}?ticker=AAPL&api_key={key}").status == (200 if is_good else 400)
