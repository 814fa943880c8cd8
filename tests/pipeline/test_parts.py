"""Parts of a job: each is owed once, has a key of its own, and never outgrows the index."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import FixRequest, TryAgain
from ingest.payloads import request_from
from ingest.pipeline.calls import check_call
from ingest.pipeline.jobs import Leased
from ingest.pipeline.parts import Part, part_job
from ingest.providers import get
from ingest.wire import Request
from tests.pipeline.farm import bars_call

NOW = datetime(2024, 3, 5, tzinfo=UTC)
#: A third of a page: what PostgreSQL's index takes of one value.
LONGEST_KEY = 2_600
JOB = Leased(7, 1, "tasks.fetch.binance", "backfill", {}, "leased", key="history:binance:BTC-USDT:1m:x", failures=1)
CALL = check_call(get("binance").facts, bars_call("BTC-USDT", "ETH-USDT"))


def request(cursor: object = "") -> Request:
    return Request("/page", (("cursor", str(cursor)),), instruments=("BTC-USDT",), start=NOW)


def part(*requests, error=None, failed=False, is_dead=False):
    return Part(tuple(requests), NOW, error, failed, is_dead)


@given(st.lists(st.text(max_size=5), min_size=1, unique=True))
def test_parts_of_other_requests_have_other_keys_and_the_same_part_the_same(cursors):
    keys = [part_job(CALL, JOB, part(request(cursor)))[0].key for cursor in cursors]
    assert len(set(keys)) == len(keys)
    assert keys == [part_job(CALL, JOB, part(request(cursor), failed=True))[0].key for cursor in cursors]


def test_a_part_of_a_part_has_a_key_of_its_own_and_a_thousandth_successor_still_fits_the_index():
    job, keys = JOB, set()
    for _ in range(1000):
        [child] = part_job(CALL, job, part(request()))
        keys.add(child.key)
        job = replace(job, key=child.key)
    assert len(keys) == 1000
    assert max(map(len, keys)) < 200 < LONGEST_KEY
    assert all(key.startswith(JOB.key) for key in keys)


def test_a_part_carries_the_call_its_requests_and_where_it_comes_from():
    [child] = part_job(CALL, JOB, part(request(1), request(2), error=TryAgain("later"), failed=True))
    assert [request_from(one) for one in child.kwargs["requests"]] == [request(1), request(2)]
    assert check_call(get("binance").facts, child.kwargs) == replace(CALL, requests=(request(1), request(2)))
    assert (child.parent_id, child.lane, child.task, child.error) == (7, "backfill", JOB.task, "later")


def test_only_a_part_that_failed_counts_as_a_failure_more():
    assert [part_job(CALL, JOB, part(request(), failed=failed))[0].failures for failed in (True, False)] == [2, 1]


@given(st.integers(2, 50))
def test_a_request_with_a_bad_name_is_cut_into_halves_that_hold_every_name_once(count):
    names = tuple(f"A{number}-USDT" for number in range(count))
    asked = Request("/quotes", instruments=names)
    children = part_job(CALL, JOB, part(asked, error=FixRequest("no such symbol"), failed=True, is_dead=True))
    halves = [child.kwargs["instruments"] for child in children]
    assert tuple(name for half in halves for name in half) == names
    assert max(map(len, halves)) - min(map(len, halves)) <= 1
    assert len({child.key for child in children}) == 2
