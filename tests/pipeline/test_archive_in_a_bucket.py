"""The archive in a bucket: what is acknowledged is there whatever happens, and a farm is no worse when S3 is away."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from ingest.archive import Place, to_record
from ingest.bucket import BucketArchive
from ingest.errors import FixRequest
from ingest.payloads import payload_key
from ingest.pipeline.context import Context, open_archive
from ingest.pipeline.replay import Window, replay
from ingest.pipeline.retention import retain
from ingest.settings import CHECKOUT, BucketAddress
from tests.pipeline.farm import DAY, bars_call, opened
from tests.pipeline.old_things import NOW as TODAY
from tests.pipeline.old_things import days_ago, put_fetch, put_finding, put_jobs
from tests.s3_server import BUCKET, ENVIRONMENT, s3_server

NOW = datetime(2024, 3, 5, 12, 59, 59, tzinfo=UTC)
KEY = payload_key(7, 1)


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def address(server, request):
    return BucketAddress(BUCKET, f"farm/{re.sub('[^a-z]', '-', request.node.name)}", server, "us-east-1")


@pytest.fixture
def archive(address):
    return BucketArchive(address)


def test_payloads_are_read_back_whole_and_stand_under_their_day_and_hour(archive):
    blobs = {payload_key(job, 1): os.urandom(job * 1000) for job in range(1, 6)}
    places = {key: archive.append(key, blob, NOW) for key, blob in blobs.items()}
    assert {key: archive.read(key, place) for key, place in places.items()} == blobs
    assert places[payload_key(1, 1)] == Place("2024-03-05/12/tickfarm-payload-1-1.seg", 0, 1000)


def test_another_key_s_place_and_a_spoilt_or_missing_object_hold_nothing(archive):
    place = archive.append(KEY, b"abcd", NOW)
    assert archive.read(payload_key(7, 2), place) is None
    assert archive.read(KEY, Place(place.segment, 0, 3)) is None
    assert archive.read(KEY, Place("2024-03-05/12/none.seg", 0, 4)) is None
    record = to_record(KEY, b"abcd")
    for spoilt in (record[:-1] + b"x", record[:-1], b""):
        archive._store.put(place.segment, spoilt)
        assert archive.read(KEY, place) is None
    archive._store.put(place.segment, record)
    assert archive.read(KEY, place) == b"abcd"


def test_old_days_are_listed_oldest_first_and_deleted_and_what_is_not_ours_stays(archive):
    for days in (3, 1, 2, 0):
        archive.append(payload_key(days, 1), b"x" * 10, NOW - timedelta(days=days))
    archive._store.put("2024-notes/readme.seg", b"not ours")
    old = list(archive.segments(NOW.date()))
    assert [one.name[:10] for one in old] == ["2024-03-02", "2024-03-03", "2024-03-04"]
    assert {one.size_bytes for one in old} == {len(to_record(payload_key(1, 1), b"x" * 10))}
    archive.delete([one.name for one in old])
    archive.delete([old[0].name])
    archive.delete([])
    left = [one.name for one in archive.segments(date(2100, 1, 1))]
    assert left == ["2024-03-05/12/tickfarm-payload-0-1.seg"]
    assert archive._store.get("2024-notes/readme.seg").bytes().to_bytes() == b"not ours"


def test_what_was_acknowledged_survives_the_kill_of_the_process_that_wrote_it(archive, address):
    code = (
        "import os, signal; from datetime import datetime, UTC; from ingest.bucket import BucketArchive;"
        f" from ingest.settings import BucketAddress; archive = BucketArchive({address!r});"
        f" archive.append({KEY!r}, b'kept', datetime.fromisoformat({NOW.isoformat()!r}));"
        " os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    [segment] = archive.segments(date(2100, 1, 1))
    assert archive.read(KEY, Place(segment.name, 0, 4)) == b"kept"


def test_a_server_that_cannot_be_reached_is_an_error_of_the_system_within_seconds_and_shows_no_secret():
    nowhere = BucketArchive(BucketAddress(BUCKET, "", "http://127.0.0.1:9", "us-east-1"))
    began = datetime.now(UTC)
    for ask in (
        lambda: nowhere.append(KEY, b"x", NOW),
        lambda: nowhere.read(KEY, Place("2024-03-05/12/x.seg", 0, 1)),
        lambda: nowhere.delete(["2024-03-05/12/x.seg"]),
        lambda: list(nowhere.segments(NOW.date())),
    ):
        with pytest.raises(OSError, match=r"127\.0\.0\.1:9") as caught:
            ask()
        assert "planted" not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert datetime.now(UTC) - began < timedelta(seconds=30)


def test_without_the_extra_package_it_is_said_what_to_install(monkeypatch, settings_of, address):
    for name in [name for name in sys.modules if name.partition(".")[0] == "obstore" or name == "ingest.bucket"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "obstore", None)
    settings = settings_of(tickfarm_archive_dir=None, tickfarm_archive_url=f"s3://{BUCKET}")
    with pytest.raises(FixRequest, match=r"pip install 'tickfarm\[s3\]'"):
        open_archive(settings)


@pytest.fixture
def with_bucket(farm, settings_of, address):
    """Return what opens a farm on the same empty tables with a bucket, or with one at an address of no server."""
    contexts = []

    def open_farm(endpoint=address.endpoint):
        url = f"s3://{BUCKET}/{address.prefix}?endpoint={endpoint}&region=us-east-1"
        context = Context(settings_of(tickfarm_archive_dir=None, tickfarm_archive_url=url), name="test bucket")
        contexts.append(context)
        return type(farm)(context, farm.sandbox)

    yield open_farm
    for context in contexts:
        with opened(context, farm.sandbox):
            pass


def test_a_payload_that_redis_lost_is_read_from_the_bucket_and_read_anew_by_a_replay(with_bucket):
    farm = with_bucket()
    farm.owe("binance", bars_call("BTC-USDT"))
    [job] = farm.begin()
    assert farm.fetch(job).state == "fetched"
    farm.context.redis.flushdb()
    assert farm.load(job)["inserted"] == 60
    assert farm.requests("binance") == 1
    [(segment, position)] = farm.select("SELECT segment, position FROM fetch_log")
    assert (segment.endswith(f"/tickfarm-payload-{job.id}-1.seg"), position) == (True, 0)
    farm.change("DELETE FROM bars")
    found = replay(farm.context, Window("binance", "bars", (), "1m", DAY, DAY + timedelta(hours=1)), apply=True)
    assert (found.missing, found.written.inserted) == ([], 60)


def test_old_objects_go_unless_a_finding_names_them(with_bucket):
    farm = with_bucket()
    kept = put_fetch(farm, days_ago(40), job_id=101, body=b"evidence")
    put_fetch(farm, days_ago(40), job_id=102, body=b"old")
    young = put_fetch(farm, days_ago(29), job_id=103, body=b"young")
    put_finding(farm, days_ago(40), job_id=101)
    for dry_run in (True, False):
        [found] = [one for one in retain(farm.context, TODAY, dry_run=dry_run).tallies if one.what == "archive"]
        assert (found.segments, found.held, found.is_complete) == (1, 1, True)
    left = [one.name for one in farm.context.archive.segments((TODAY + timedelta(days=2)).date())]
    assert left == [kept, young]


def test_while_s3_is_away_fetching_goes_on_and_retention_does_the_rest(with_bucket):
    farm = with_bucket("http://127.0.0.1:9")
    farm.owe("binance", bars_call("BTC-USDT"))
    assert farm.run_once().state == "fetched"
    assert farm.select("SELECT segment, requests, failed FROM fetch_log") == [(None, 1, 0)]
    assert farm.value("SELECT count(*) FROM bars") == 60
    put_jobs(farm, "done", days_ago(9), count=5)
    report = retain(farm.context, TODAY)
    assert report.summary()["deleted"] == {"jobs": 5}
    assert report.summary()["complete"] is False
