"""Secrets: a planted key is used, refused, repeated by the provider, quoted by a bug, and stands nowhere afterwards.

Deliberately not here: what each part does about it (tests/transport/test_client_keys.py, tests/test_telemetry.py).
Invariant: every place where the farm keeps or shows anything is looked at, as it lies there and decoded.
"""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote

import zstandard

from tests.sandbox.conftest import TABLE
from tests.tasks.flower import flower
from tests.waiting import until

VARIABLE = "NASDAQ_DATA_LINK_API_KEY"
REFUSED_KEY, GOOD_KEY = "planted-4f6c1e0b9a-key", "sandbox-key"
CALL = {"dataset": "bars", "instruments": ["AAPL"], "interval": "1d", "start": "2015-01-01", "end": "2015-03-01"}
TASK = "tasks.fetch.nasdaq_data_link"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PAGES = ("/", "/workers", "/worker/one@farm", "/tasks", "/broker", "/metrics")
API = ("/api/tasks", "/api/workers?refresh=1", "/api/queues/length", "/api/task/types")


def everything_kept(farm):
    """Yield (where, bytes) of every log, table, Redis key and value, and archive segment, packed and unpacked."""
    for log in (farm.folder / "logs").iterdir():
        yield log.name, log.read_bytes()
    for (table,) in farm.rows("SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"):
        yield table, "\n".join(str(tuple(row)) for row in farm.rows(f"SELECT t::text FROM {table} t")).encode()
    redis = farm.context.redis
    for key in redis.scan_iter():
        yield from unpacked(str(key), key + (redis.dump(key) or b"") + plain(value_of(redis, key)))
    segments = list((farm.folder / "archive").rglob("*.seg"))
    assert segments
    for segment in segments:
        yield from unpacked(segment.name, segment.read_bytes())


def unpacked(where, kept):
    """Yield what is kept, and whatever lies compressed in it."""
    yield where, kept
    at = kept.find(ZSTD_MAGIC)
    while at >= 0:
        yield f"{where}, unpacked", zstandard.ZstdDecompressor().decompressobj().decompress(kept[at:])
        at = kept.find(ZSTD_MAGIC, at + 1)


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
        case b"stream":
            return redis.xrange(key)
        case _:
            return redis.get(key)


def plain(value):
    return value if isinstance(value, bytes) else str(value).encode()


def spellings(key):
    """Return the key as it may stand somewhere: plain, in a URL, and in base64 (as messages travel) at any offset."""
    coded = [b64encode(bytes(offset) + key.encode())[4 if offset else 0 : -4] for offset in range(3)]
    return {key.encode(), quote(key, safe="").encode(), *coded}


def shown_by_flower(api, tasks):
    """Yield what Flower shows: its pages and what its API answers, about each of these tasks too."""
    paths = [*PAGES, *API]
    for task in tasks:
        paths += [f"/task/{task}", f"/api/task/info/{task}", f"/api/task/result/{task}"]
    for path in paths:
        text = api.text(path)
        assert len(text) > 10, path
        yield path, text.encode()


def leaks(key, kept):
    """Return where the key was found."""
    return sorted({str(where) for where, found in kept if any(one in found for one in spellings(key))})


def run_calls(farm, arm, *, count):
    """Start a farm, arm faults, run calls by hand to their end; return all that is kept and shown afterwards."""
    farm.beat()
    with flower(farm) as api, farm.client() as client:
        until(lambda: "one@farm" in api.read("/api/workers?refresh=1"), within_s=60, what="Flower to see the worker")
        arm(farm.sandbox)
        sent = [client.send_task(TASK, kwargs=CALL) for _ in range(count)]
        for one in sent:
            one.get(timeout=60, propagate=False)
        # Once one was refused, the others wait with the refusal for their reason.
        at_rest = "state IN ('done', 'dead') OR (state = 'due' AND error LIKE '%the API key was refused%')"
        farm.wait_for(f"SELECT count(*) = 0 FROM jobs WHERE NOT ({at_rest})", within_s=60)
        until(lambda: set(api.read("/api/tasks")) >= {one.id for one in sent}, what="Flower to show the tasks")
        return [*everything_kept(farm), *shown_by_flower(api, [one.id for one in sent])]


def test_a_key_that_is_refused_is_found_nowhere(farm):
    def arm(sandbox):
        sandbox.arm("nasdaq_data_link", "status", times=1, args={"status": 500})
        sandbox.arm("nasdaq_data_link", "reset", times=1)
        sandbox.arm("nasdaq_data_link", "status", times=1, args={"status": 302})

    farm.env[VARIABLE] = REFUSED_KEY
    farm.worker()
    kept = run_calls(farm, arm, count=4)
    assert farm.value("SELECT count(*) FROM jobs WHERE state = 'dead'") > 0
    assert {row.outcome for row in farm.rows("SELECT outcome FROM fetch_log")} > {"failed"}
    assert leaks(REFUSED_KEY, kept) == []
    assert farm.sandbox.get(f"{TABLE}?ticker=AAPL&api_key={REFUSED_KEY}").status == 400


def test_a_key_that_the_provider_repeats_and_a_bug_quotes_is_found_nowhere(farm):
    """The key is in the query string, in answers of every kind, and in the traceback of what fails over one."""
    said = f"key {GOOD_KEY} at ?api_key={GOOD_KEY}"
    error = json.dumps({"quandl_error": {"code": "QESx01", "message": f"We could not read your {said}"}})

    def arm(sandbox):
        for fault, args in (
            ("status", {"status": 400, "body": error}),
            ("status", {"status": 503, "body": said}),
            ("error_in_200", {"body": error.replace("QESx01", "QEMx01")}),
            ("html", {"body": f"<html>{said}</html>"}),
            ("not_json", {"body": f"{said}, and a BUG"}),
        ):
            sandbox.arm("nasdaq_data_link", fault, times=1, args=args)

    farm.env[VARIABLE] = GOOD_KEY
    farm.worker("one", "--include=tests.tasks.talkative")
    kept = run_calls(farm, arm, count=6)
    assert farm.sandbox.fired() == [1] * 5
    assert farm.value("SELECT count(*) FROM jobs WHERE state = 'done'") > 0, "the key that is good was not used"
    asked = farm.sandbox.control("GET", "requests?log=1")[1]["log"]
    assert any("api_key=***" in str(one) for one in asked), "the key did not go into the query string"
    assert any("can't read b" in letter.error for letter in farm.letters()), "no bug quoted the answer"
    assert leaks(GOOD_KEY, kept) == []
