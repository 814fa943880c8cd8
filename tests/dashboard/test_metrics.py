"""`/metrics` without a farm at work: how fast it is with many series, what it says of them and of servers away.

Deliberately not here: a farm that works (tests/tasks/test_observed.py), rules and dashboards (tests/deploy).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from dashboard.metrics import CACHED_S
from ingest.settings import Settings
from models.partitions import ensure_partitions
from tests.dashboard.conftest import serving
from tests.waiting import until

SERIES, DAYS = 500, 30
WITHIN_S = 0.3


def samples(page):
    """Return every sample of a page by its name and labels."""
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


def value(found, name, **labels):
    return found[(f"tickfarm_{name}", *sorted(labels.items()))]


@pytest.fixture(scope="module")
def many_series(served):
    """500 followed series of bars, each with 30 days in the ledger and a bar a minute ago; one is two hours behind."""
    now = datetime.now(UTC)
    with served.context.sessions.begin() as session:
        ensure_partitions(session, "bars", now - timedelta(days=DAYS), now)
        session.execute(
            text("""
            INSERT INTO series (provider, dataset, instrument, interval, followed)
            SELECT 'binance', 'bars', 'C' || n || '-USDT', '1m', true FROM generate_series(1, :series) n
            """),
            {"series": SERIES},
        )
        session.execute(
            text("""
            INSERT INTO ledger (series_id, day, expected, stored, final, state, job_id, updated_at)
            SELECT id, :today - back, 1440, 1440, 1440, CASE WHEN back = 1 AND id % 10 = 0 THEN 'fetched' ELSE 'verified' END,
                0, now() FROM series, generate_series(1, :days) back
            """),  # noqa: E501
            {"today": now.date(), "days": DAYS},
        )
        session.execute(text("UPDATE ledger SET final = 720, stored = 720 WHERE state = 'fetched'"))
        session.execute(
            text("""
            INSERT INTO bars (series_id, ts, open, high, low, close, volume, is_final, observed_at, job_id)
            SELECT id, date_trunc('minute', CASE WHEN instrument = 'C7-USDT' THEN :now - interval '2 hours'
                ELSE :now - interval '1 minute' END), 1, 1, 1, 1, 1, true, :now, 0 FROM series
            """),
            {"now": now},
        )
        session.execute(
            text("""
            INSERT INTO jobs (key, task, lane, kwargs, due_at, state) SELECT 'metrics:' || n, 'tasks.fetch.binance',
                'backfill', '{}', :now - interval '1 hour', 'due' FROM generate_series(1, 5000) n
            """),
            {"now": now},
        )
    return served


def test_it_answers_in_time_with_five_hundred_series(many_series, client):
    """Other work on the machine may take its time away: what it can do, it does once within a minute."""

    def took_s():
        found = samples(client.get("/metrics").text)
        return found[("tickfarm_scrape_duration_seconds",)]

    until(lambda: took_s() < WITHIN_S, within_s=60, what=f"a scrape of less than {WITHIN_S} s")


def test_it_says_how_fresh_and_how_complete_the_series_are(many_series, client):
    found = samples(client.get("/metrics").text)
    kind = {"provider": "binance", "dataset": "bars", "interval": "1m"}
    assert value(found, "series", **kind) == SERIES
    assert value(found, "series_late", **kind) == 1
    assert 7000 < value(found, "freshness_lag_seconds", **kind) < 7400
    assert value(found, "freshness_target_seconds", **kind) == 180
    assert time.time() - value(found, "newest_row_timestamp_seconds", **kind) < 200
    assert value(found, "coverage_ratio", period="yesterday", **kind) == pytest.approx(0.95)
    assert value(found, "coverage_ratio", period="30d", **kind) == pytest.approx(1 - 0.05 / DAYS)
    assert value(found, "gap_days", **kind) == SERIES / 10
    assert value(found, "jobs", lane="backfill", state="due") == 5000
    assert 3500 < value(found, "job_oldest_age_seconds", lane="backfill", state="due") < 3700
    assert value(found, "workers", lane="live") == 0
    assert value(found, "leader") == 0
    assert value(found, "requests_per_second_target") == 0


def test_two_scrapes_at_once_read_once(many_series, client):
    time.sleep(CACHED_S)
    name = "tickfarm_scrape_duration_seconds"
    assert samples(client.get("/metrics").text)[(name,)] == samples(client.get("/metrics").text)[(name,)]


def test_it_names_no_instrument_and_no_secret(many_series, client):
    page = client.get("/metrics").text
    assert "C7-USDT" not in page
    assert not [label for _, *labels in samples(page) for label in labels if "USDT" in label[1]]


@pytest.mark.parametrize("away", ["redis_url", "database_url"])
def test_a_server_that_is_away_is_said_and_the_other_ones_figures_are_there(config, away):
    nowhere = Settings(redis_url="redis://127.0.0.1:1/0", database_url="postgresql://nobody:secret@127.0.0.1:1/none")
    with serving(config.model_copy(update={away: getattr(nowhere, away)})) as served:
        answer = httpx.get(f"{served.url}/metrics", timeout=30)
    found = samples(answer.text)
    is_redis = away == "redis_url"
    assert answer.status_code == 200
    assert value(found, "up", server="redis") == float(not is_redis)
    assert value(found, "up", server="postgresql") == float(is_redis)
    assert (("tickfarm_leader",) in found) is is_redis
    assert (("tickfarm_connections_limit",) in found) is not is_redis
    assert ("tickfarm_machine_memory_used_ratio",) in found


def test_it_comes_back_with_the_server(config, servers):
    """The exporter that met a dead server must not go on believing it."""
    with serving(config) as served:

        def ups():
            found = samples(httpx.get(f"{served.url}/metrics", timeout=30).text)
            return {value(found, "up", server=one) for one in ("redis", "postgresql")}

        assert ups() == {1.0}
        served.context.redis.client_kill_filter(_type="normal", skipme=True)
        with served.context.sessions.begin() as session:
            session.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%exporter'")
            )
        until(lambda: ups() == {1.0}, within_s=15, what="both servers to be seen again")
