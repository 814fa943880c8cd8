"""How PostgreSQL reads the readers' views of a million bars: by the primary key, of the partitions that are asked for.

Deliberately not here: what they say (test_reader_views.py), and how long it takes.
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from models import open_engine
from models.partitions import ensure_partitions
from tests.conftest import statement

SERIES = 40
#: 25,000 bars of an hour are nearly three years.
BARS = 25_000
FIRST, LAST = datetime(2022, 1, 1, tzinfo=UTC), datetime(2024, 12, 31, tzinfo=UTC)
YEAR = "ts >= '2023-03-01' AND ts < '2023-04-01'"
ONE = "provider = 'p' AND instrument = 'I7'"


@pytest.fixture(scope="module")
def stored(module_database_url):
    """The address of a database with a million bars of forty series, and as many hours of log."""
    engine = open_engine(module_database_url, application_name="test plans", pooled=False)
    with sessionmaker(engine).begin() as session:
        ensure_partitions(session, "bars", FIRST, LAST)
        ensure_partitions(session, "quotes", FIRST, FIRST)
        ensure_partitions(session, "fetch_log", FIRST, datetime(2022, 1, 3, tzinfo=UTC))
        session.execute(
            text(
                "INSERT INTO series (provider, dataset, instrument, interval)"
                " SELECT 'p', 'bars', 'I' || n, '1h' FROM generate_series(1, :series) AS n"
            ),
            {"series": SERIES},
        )
        session.execute(
            text(
                "INSERT INTO bars (series_id, ts, open, high, low, close, is_final, observed_at, job_id)"
                " SELECT series.id, :first + n * interval '1 hour', 1, 1, 1, 1, true, :first, 1"
                " FROM (SELECT id FROM series ORDER BY id) AS series"  # in the key's order: half the time
                " CROSS JOIN LATERAL generate_series(0, :bars - 1) AS n"
            ),
            {"first": FIRST, "bars": BARS},
        )
        session.execute(
            text(
                "INSERT INTO fetch_log (at, attempt, provider, dataset, lane, requests, weight, failed, duration_ms,"
                " outcome) SELECT :first + n * interval '30 s', 1, 'p', 'bars', 'live', 1, 1, 0, 5, 'fetched'"
                " FROM generate_series(0, 8000) AS n"
            ),
            {"first": FIRST},
        )
    engine.dispose()
    statement(module_database_url, "ANALYZE")
    return module_database_url


def nodes(url, query):
    """Return every node of the plan, as it ran."""
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) {query}")
        [[plan]] = cursor.fetchall()
    found, waiting = [], [(plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"]]
    while waiting:
        found.append(waiting.pop())
        waiting += found[-1].get("Plans", [])
    return found


def scans(url, query, table="bars"):
    """Return the partitions that were read, how often, by which kind of scan, and how many rows that brought."""
    return [
        (one["Relation Name"], one["Node Type"], one["Actual Loops"], one["Actual Rows"] * one["Actual Loops"])
        for one in nodes(url, query)
        if one.get("Relation Name", "").startswith(f"{table}_") and one["Actual Loops"]
    ]


@pytest.mark.parametrize("source", ["bars WHERE interval = '1h' AND", "bars_1h WHERE"])
def test_a_month_of_one_series_is_read_by_the_key_from_its_year_alone(stored, source):
    [(partition, how, loops, rows)] = scans(stored, f"SELECT * FROM md.{source} {ONE} AND {YEAR}")
    assert (partition, loops, rows) == ("bars_y2023", 1, 31 * 24)
    assert "Index" in how or how == "Bitmap Heap Scan"


def test_a_whole_series_reads_no_row_of_another(stored):
    found = scans(stored, f"SELECT * FROM md.bars WHERE {ONE} AND interval = '1h' ORDER BY ts")
    assert sum(rows for *_, rows in found) == BARS
    assert {how for _, how, *_ in found} <= {"Index Scan", "Bitmap Heap Scan"}


def test_the_newest_bars_are_one_step_of_the_key_a_series(stored):
    found = scans(stored, "SELECT * FROM md.latest_bars")
    assert found == [("bars_y2024", "Index Scan", SERIES, SERIES)]
    assert scans(stored, f"SELECT * FROM md.latest_bars WHERE {ONE}") == [("bars_y2024", "Index Scan", 1, 1)]


def test_the_quality_of_an_hour_reads_that_hour_of_that_day_of_the_log(stored):
    at = "hour >= '2022-01-02 05:00Z' AND hour < '2022-01-02 07:00Z'"
    query = f"SELECT * FROM md.quality_by_hour WHERE provider = 'p' AND {at}"
    found = [one for one in scans(stored, query, "fetch_log") if one[0] != "fetch_log_d2022_01_01" or one[2] > 1]
    assert {partition for partition, *_ in found} == {"fetch_log_d2022_01_02"}
    assert sum(rows for *_, rows in found) <= 2 * 2 * 120
    assert "Seq Scan" not in {how for _, how, *_ in found}


def test_the_log_of_an_hour_reads_its_day(stored):
    found = scans(
        stored, "SELECT * FROM md.ingest_log WHERE at >= '2022-01-02' AND at < '2022-01-02 01:00Z'", "fetch_log"
    )
    assert [partition for partition, *_ in found] == ["fetch_log_d2022_01_02"]
