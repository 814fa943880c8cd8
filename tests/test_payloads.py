"""Payloads: what is read is what was written, or nothing; the archive survives tears, full disks and company."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.backoff import NoBackoff
from redis.retry import Retry

from ingest.archive import FolderArchive, Place
from ingest.payloads import (
    Payloads,
    StoredAnswer,
    batch_key,
    pack,
    payload_key,
    request_from,
    request_to,
    unpack,
)
from ingest.wire import Answer, Request

NOW = datetime(2024, 3, 5, 12, 59, 59, tzinfo=UTC)
KEY = payload_key(7, 1)

names = st.text(st.characters(codec="utf-8"), max_size=10)
pairs = st.lists(st.tuples(names, names), max_size=3).map(tuple)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
requests = st.builds(
    Request,
    path=names,
    params=pairs,
    headers=pairs,
    instruments=st.lists(names, max_size=3).map(tuple),
    weight=st.integers(1, 10**6),
    start=st.none() | moments,
    end=st.none() | moments,
    timeout_s=st.none() | st.floats(0.1, 30),
)
answers = st.builds(
    StoredAnswer,
    answer=st.builds(
        Answer,
        request=requests,
        status=st.integers(100, 599),
        headers=st.dictionaries(names, names, max_size=3),
        body=st.binary(max_size=200),
        sent_at=moments,
        received_at=moments,
    ),
    rule=st.none() | names,
)
function_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture
def archive(tmp_path):
    opened = FolderArchive(tmp_path / "archive")
    yield opened
    opened.close()


@pytest.fixture
def payloads(redis_url, archive):
    client = redis.Redis.from_url(redis_url)
    yield Payloads(client, archive)
    client.close()


@pytest.fixture
def without_redis(archive):
    client = redis.Redis(host="127.0.0.1", port=9, retry=Retry(NoBackoff(), 0))
    yield Payloads(client, archive)
    client.close()


def segment_of(archive: FolderArchive, place: Place) -> Path:
    return archive._folder / place.segment


@given(requests)
def test_a_request_is_the_same_after_it_was_kept_as_json(request):
    assert request_from(request_to(request)) == request


def test_a_request_kept_before_there_were_timeouts_is_read_and_none_is_written_without_need():
    document = request_to(Request("/x"))
    assert "timeout_s" not in document
    assert request_from(document) == Request("/x")


@given(st.lists(answers, max_size=4))
def test_answers_are_the_same_after_packing(kept):
    assert unpack(pack(kept).blob) == kept


def test_a_packed_page_of_json_is_a_fraction_of_its_size():
    row = b'[1709596800000,"66123.10","66125.00","66120.05","66121.55","12.5"],'
    kept = StoredAnswer(Answer(Request("/p"), 200, {}, row * 1000, NOW, NOW))
    assert len(pack([kept]).blob) < len(row) * 1000 / 3


@function_fixture
@given(st.lists(st.tuples(names, st.binary(max_size=300)), min_size=1, max_size=8))
def test_everything_that_was_appended_is_read_back_whole(archive, records):
    places = [archive.append(key, blob, NOW) for key, blob in records]
    for (key, blob), place in zip(records, places, strict=True):
        assert archive.read(key, place) == blob


@function_fixture
@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_payload_with_any_changed_bit_or_cut_is_reported_absent_never_wrong(archive, blob, data):
    place = archive.append(KEY, blob, NOW)
    segment = segment_of(archive, place)
    whole = segment.read_bytes()
    record = whole[place.position :]
    at = data.draw(st.integers(0, len(record) - 1))
    if data.draw(st.booleans()):
        spoilt = record[:at]
    else:
        spoilt = record[:at] + bytes([record[at] ^ (1 << data.draw(st.integers(0, 7)))]) + record[at + 1 :]
    segment.write_bytes(whole[: place.position] + spoilt)
    assert archive.read(KEY, place) is None
    segment.write_bytes(whole)
    assert archive.read(KEY, place) == blob


@pytest.mark.parametrize(
    "wrong",
    [
        {"position": 1},
        {"position": 10**9},
        {"segment": "2024-03-05/no-such.seg"},
        {"segment": "."},
        {"size_bytes": 3},
        {"size_bytes": 2**32 - 1},
    ],
)
def test_a_place_that_holds_something_else_holds_nothing(archive, wrong):
    place = archive.append(KEY, b"abcd", NOW)
    assert archive.read(KEY, replace(place, **wrong)) is None


def test_the_payload_of_another_key_is_not_returned(archive):
    place = archive.append(payload_key(7, 1), b"abcd", NOW)
    assert archive.read(payload_key(7, 2), place) is None
    assert archive.read(payload_key(77, 1), place) is None


def test_what_follows_a_torn_tail_is_read_as_if_nothing_had_happened(archive, tmp_path):
    torn = archive.append(KEY, b"x" * 100, NOW)
    segment = segment_of(archive, torn)
    archive.close()
    segment.write_bytes(segment.read_bytes()[:-7])
    again = FolderArchive(tmp_path / "archive")
    after = again.append(payload_key(8, 1), b"y" * 50, NOW)
    again.close()
    assert archive.read(KEY, torn) is None
    assert archive.read(payload_key(8, 1), after) == b"y" * 50


def test_an_hour_has_a_segment_of_its_own_by_utc(archive):
    first = archive.append(KEY, b"1", NOW)
    second = archive.append(KEY, b"2", NOW + timedelta(seconds=1))
    assert first.segment.startswith("2024-03-05/12-")
    assert second.segment.startswith("2024-03-05/13-")
    assert [archive.read(KEY, place) for place in (first, second)] == [b"1", b"2"]


def test_two_archives_on_one_segment_know_their_own_places(archive, tmp_path):
    other = FolderArchive(tmp_path / "archive")
    places = []
    for number in range(6):
        writer = archive if number % 2 else other
        places.append(writer.append(payload_key(number, 1), b"z" * (number + 1) * 10, NOW))
    other.close()
    assert len({place.segment for place in places}) == 1
    for number, place in enumerate(places):
        assert archive.read(payload_key(number, 1), place) == b"z" * (number + 1) * 10


@contextmanager
def no_file_longer_than(size_bytes):
    """Make the disk full: the system cuts every write of this process at that length."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_half_a_payload_is_an_error_not_a_place(archive):
    first = archive.append(KEY, b"a" * 500, NOW)
    with no_file_longer_than(1000), pytest.raises(OSError, match="took"):
        archive.append(payload_key(8, 1), b"b" * 600, NOW)
    after = archive.append(payload_key(9, 1), b"c" * 600, NOW)
    assert archive.read(KEY, first) == b"a" * 500
    assert archive.read(payload_key(9, 1), after) == b"c" * 600


def test_a_payload_in_flight_is_in_redis_with_an_end_and_in_the_archive(payloads, archive):
    place = payloads.put(KEY, b"blob", NOW, in_flight=True)
    assert payloads.get(KEY, None) == b"blob"
    assert archive.read(KEY, place) == b"blob"
    assert 0 < payloads._redis.ttl(KEY) <= 3600


def test_evidence_that_nobody_waits_for_is_archived_only(payloads):
    place = payloads.put(KEY, b"blob", NOW, in_flight=False)
    assert payloads._redis.exists(KEY) == 0
    assert payloads.get(KEY, place) == b"blob"


def test_a_payload_that_is_nowhere_is_none(payloads):
    assert payloads.get(KEY, None) is None
    assert payloads.get(KEY, Place("gone.seg", 0, 1)) is None


def test_what_was_dropped_is_gone_from_redis_and_stays_in_the_archive(payloads):
    place = payloads.put(KEY, b"blob", NOW, in_flight=True)
    payloads.put_batch(batch_key(7, KEY), b"batch")
    payloads.drop(KEY, batch_key(7, KEY))
    assert payloads.get_batch(KEY) is None
    assert payloads.get_batch(batch_key(7, KEY)) is None
    assert payloads.get(KEY, place) == b"blob"


def test_one_of_redis_and_archive_suffices_and_both_refusing_is_an_error(without_redis, archive, tmp_path):
    place = without_redis.put(KEY, b"blob", NOW, in_flight=True)
    assert archive.read(KEY, place) == b"blob"
    archive.close()
    blocked = Payloads(without_redis._redis, FolderArchive(tmp_path / "a file"))
    (tmp_path / "a file").touch()
    with pytest.raises(redis.RedisError):
        blocked.put(KEY, b"blob", NOW, in_flight=True)
    with pytest.raises(OSError, match="a file"):
        blocked.put(KEY, b"blob", NOW, in_flight=False)


def test_each_attempt_has_keys_of_its_own():
    keys = {payload_key(job, attempt) for job in (1, 11) for attempt in (1, 11)}
    assert len(keys) == 4
    assert len({batch_key(1, key) for key in (payload_key(1, 1), payload_key(1, 11))}) == 2
