"""Replay: archived answers read anew say what the tables lack, and nobody is asked for it."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from ingest import payloads
from ingest.errors import FixRequest
from ingest.pipeline.replay import Window, replay
from ingest.wire import Answer, Request
from tests.pipeline.farm import DAY, bars_call

HOUR = timedelta(hours=1)
NAMES = ("BTC-USDT", "ETH-USDT")


def window(*instruments, dataset="bars", interval="1m", start=DAY, end=DAY + HOUR):
    return Window("binance", dataset, instruments, interval, start, end)


def counts(found):
    one = found.comparison
    return (one.new, one.differing, one.identical, one.superseded, one.only_stored)


@pytest.fixture
def stored(farm):
    """Return a farm with an hour of two instruments' bars, and no job that remembers how they came."""
    farm.owe("binance", bars_call(*NAMES))
    farm.run()
    farm.change("DELETE FROM jobs")
    assert farm.value("SELECT count(*) FROM bars") == 120
    return farm


def test_what_is_stored_as_it_was_answered_differs_in_nothing_and_nobody_is_asked(stored):
    before = stored.requests("binance")
    found = replay(stored.context, window())
    assert (counts(found), found.differs, found.payloads, found.used) == ((0, 0, 120, 0, 0), False, 1, 1)
    assert stored.requests("binance") == before


def test_lost_and_altered_rows_are_told_with_old_and_new_and_come_back_only_when_applied(stored):
    whole = stored.select("SELECT * FROM bars ORDER BY series_id, ts")
    stored.change("DELETE FROM bars WHERE ts >= :at", at=DAY + timedelta(minutes=58))
    stored.change("UPDATE bars SET close = close + 0.5, is_final = true WHERE ts = :at", at=DAY)
    damaged = stored.select("SELECT * FROM bars ORDER BY series_id, ts")
    found = replay(stored.context, window())
    assert (counts(found), found.differs) == ((4, 2, 114, 0, 0), True)
    assert stored.select("SELECT * FROM bars ORDER BY series_id, ts") == damaged
    first = found.comparison.rows[0]
    right = {row[0]: row for row in stored.select("SELECT series_id, close - 0.5 FROM bars WHERE ts = :at", at=DAY)}
    assert (found.series[first.series_id], first.ts) == ("BTC-USDT", DAY)
    assert first.old["open"] == first.new["open"]
    assert [one.old for one in found.comparison.rows].count(None) == 4
    assert float(first.new["close"]) == float(right[first.series_id][1]) == float(first.old["close"]) - 0.5
    applied = replay(stored.context, window(), apply=True)
    assert (applied.written.inserted, applied.written.updated, applied.written.revised) == (4, 2, 2)
    assert stored.select("SELECT * FROM bars ORDER BY series_id, ts") == whole
    assert counts(replay(stored.context, window(), apply=True)) == (0, 0, 120, 0, 0)
    assert stored.value("SELECT count(*) FROM revisions") == 2


def test_what_was_observed_later_stays_whatever_an_older_answer_says(stored):
    stored.change("UPDATE bars SET close = 1, observed_at = observed_at + interval '1 second' WHERE ts = :at", at=DAY)
    found = replay(stored.context, window(), apply=True)
    assert (counts(found), found.differs) == ((0, 0, 118, 2, 0), False)
    assert stored.value("SELECT count(*) FROM bars WHERE close = 1") == 2


def test_of_several_answers_the_one_observed_last_counts(stored):
    stored.owe("binance", bars_call(*NAMES))
    stored.run()
    stored.change("DELETE FROM bars")
    found = replay(stored.context, window(), apply=True)
    assert (found.payloads, counts(found)) == (2, (120, 0, 0, 0, 0))
    newest = stored.value("SELECT max(updated_at) FROM ledger")
    assert stored.value("SELECT count(*) FROM bars WHERE observed_at > :at", at=newest - timedelta(seconds=1)) >= 60
    assert counts(replay(stored.context, window())) == (0, 0, 120, 0, 0)


def test_only_what_is_asked_for_is_looked_at(stored):
    stored.change("UPDATE bars SET close = close + 1")
    half = DAY + timedelta(minutes=30)
    assert counts(replay(stored.context, window("ETH-USDT", end=half))) == (0, 30, 0, 0, 0)
    assert counts(replay(stored.context, window(interval="5m"))) == (0, 0, 0, 0, 0)
    assert counts(replay(stored.context, window(start=DAY + HOUR, end=DAY + 2 * HOUR))) == (0, 0, 0, 0, 0)
    assert replay(stored.context, window("SOL-USDT")).used == 0
    with pytest.raises(FixRequest, match="end must be after start"):
        replay(stored.context, window(end=DAY))


def test_a_series_that_nobody_stored_yet_is_new_and_is_made_only_when_applied(stored):
    stored.change("TRUNCATE bars, ledger; DELETE FROM series")
    stored.context.series_ids.clear()
    found = replay(stored.context, window())
    assert (counts(found), sorted(found.series.values())) == ((120, 0, 0, 0, 0), sorted(NAMES))
    assert stored.value("SELECT count(*) FROM series") == 0
    replay(stored.context, window(), apply=True)
    assert stored.value("SELECT count(*) FROM bars JOIN series ON series.id = series_id") == 120
    assert stored.value("SELECT sum(stored) FROM ledger") == 120


def test_payloads_that_are_gone_are_named_and_their_rows_told_apart(stored):
    shutil.rmtree(stored.context.settings.archive_dir)
    found = replay(stored.context, window())
    assert (found.payloads, len(found.missing), found.differs) == (0, 1, False)
    assert found.missing == [key for (key,) in stored.select("SELECT payload_key FROM fetch_log")]
    assert counts(found) == (0, 0, 0, 0, 120)


@pytest.mark.parametrize("dataset", ["trades", "quotes", "books"])
def test_polls_of_every_dataset_are_read_anew(farm, dataset):
    farm.owe("binance", {"dataset": dataset, "instruments": list(NAMES)})
    farm.run()
    rows = farm.select(f"SELECT * FROM {dataset} ORDER BY 1, 2, 3")
    assert rows
    farm.change("DELETE FROM jobs")
    today = window(dataset=dataset, interval=None, start=rows[0][1] - HOUR, end=datetime.now(UTC) + HOUR)
    assert counts(replay(farm.context, today)) == (0, 0, len(rows), 0, 0)
    farm.change(f"DELETE FROM {dataset}")
    assert replay(farm.context, today, apply=True).written.inserted == len(rows)
    assert farm.select(f"SELECT * FROM {dataset} ORDER BY 1, 2, 3") == rows


def test_a_payload_of_before_calls_were_kept_is_read_by_its_job_or_said_to_be_unreadable(farm):
    now = datetime.now(UTC)
    moment = int(DAY.timestamp() * 1000)
    body = f'[[{moment},"1","3","1","2","5",{moment + 59_999},"7",3,"1","1","0"]]'.encode()
    answer = Answer(Request("/api/v3/klines", instruments=("BTC-USDT",)), 200, {}, body, now, now)
    job = farm.owe("binance", bars_call("BTC-USDT"))
    place = farm.context.payloads.put(
        payloads.payload_key(job, 1), payloads.pack([payloads.StoredAnswer(answer)]).blob, now, in_flight=False
    )
    farm.context.make_room("fetch_log", now, now)
    farm.change(
        "INSERT INTO fetch_log (at, job_id, attempt, provider, dataset, lane, requests, weight, failed, duration_ms,"
        " outcome, payload_key, segment, position, size_bytes)"
        " VALUES (:at, :job, 1, 'binance', 'bars', '', 1, 1, 0, 1, 'fetched', :key, :segment, :position, :size)",
        at=now,
        job=job,
        key=payloads.payload_key(job, 1),
        segment=place.segment,
        position=place.position,
        size=place.size_bytes,
    )
    assert counts(replay(farm.context, window())) == (1, 0, 0, 0, 0)
    farm.change("DELETE FROM jobs")
    found = replay(farm.context, window())
    assert (found.unreadable, found.differs) == ([payloads.payload_key(job, 1)], False)


def test_findings_of_a_payload_are_noted_again_when_it_is_applied_and_only_then(farm):
    farm.sandbox.arm("binance", "null_prices", match="ETHUSDT")
    farm.owe("binance", bars_call(*NAMES))
    farm.run()
    noted = farm.select("SELECT rule, rows, instrument, payload_key, answer, sample FROM findings ORDER BY rule")
    assert noted
    farm.change("DELETE FROM findings")
    assert replay(farm.context, window()).findings == len(noted)
    assert farm.findings() == []
    for _ in range(2):
        replay(farm.context, window(), apply=True)
    again = farm.select("SELECT rule, rows, instrument, payload_key, answer, sample FROM findings ORDER BY rule")
    assert again == noted
