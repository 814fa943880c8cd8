"""The migration that turns the fetch log's months into days: no row is lost, and both ways lead to a log that works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.orm import Session

from models import migrate
from models.partitions import ensure_partitions
from tests.models.test_migrations import alembic_config, connected, database

FIRST = datetime(2026, 10, 30, 23, 59, 59, 999_999, tzinfo=UTC)
#: One a day at both edges of its midnight, over the end of a month: (payload, when).
ROWS = [
    (f"p{day}{edge}", FIRST + timedelta(days=day, microseconds=micros))
    for day in range(4)
    for edge, micros in (("before", 0), ("after", 1))
]
PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'fetch_log'::regclass ORDER BY 1"
INSERT = (
    "INSERT INTO fetch_log (at, job_id, attempt, provider, dataset, lane, requests, weight, failed, duration_ms,"
    " outcome, payload_key) VALUES (:at, 1, 1, 'binance', 'bars', 'live', 2, 4, 1, 9, 'fetched', :key)"
)


@pytest.fixture
def monthly(servers):
    """Return a database before the migration, with a month's and a half's log."""
    with database(servers, "log_by_month") as url:
        migrate.upgrade(url, "0003")
        with connected(url) as connection, connection.begin():
            for month in (10, 11):
                connection.execute(
                    text(
                        f"CREATE TABLE fetch_log_m2026_{month} PARTITION OF fetch_log"
                        f" FOR VALUES FROM ('2026-{month}-01Z') TO ('2026-{month + 1}-01Z')"
                    )
                )
            for key, at in ROWS:
                connection.execute(text(INSERT), {"key": key, "at": at})
        yield url


def select(url, sql):
    with connected(url) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_every_row_is_in_its_day_s_partition_afterwards_and_the_log_takes_new_rows(monthly):
    before = select(monthly, "SELECT id, at, payload_key, requests, weight, failed FROM fetch_log ORDER BY id")
    migrate.upgrade(monthly)
    assert select(monthly, "SELECT id, at, payload_key, requests, weight, failed FROM fetch_log ORDER BY id") == before
    assert [key for _, _, key, *_ in before] == [key for key, _ in ROWS]
    days = [f"fetch_log_d2026_{day}" for day in ("10_30", "10_31", "11_01", "11_02", "11_03")]
    assert select(monthly, PARTITIONS) == [(name,) for name in days]
    misplaced = "SELECT count(*) FROM fetch_log WHERE tableoid::regclass::text <> 'fetch_log_d' || to_char(at, :f)"
    assert select(monthly, misplaced.replace(":f", "'YYYY_MM_DD'")) == [(0,)]
    assert select(monthly, "SELECT DISTINCT kind, pool, base_url, latency_ms::text, body_bytes FROM fetch_log") == [
        ("batch", "", "", "{}", 0)
    ]
    with connected(monthly) as connection, Session(connection) as session, session.begin():
        made = ensure_partitions(session, "fetch_log", ROWS[0][1], ROWS[-1][1] + timedelta(days=1))
        session.execute(text(INSERT), {"key": "new", "at": ROWS[-1][1] + timedelta(days=1)})
    assert made == [*days, "fetch_log_d2026_11_04"]
    assert select(monthly, "SELECT max(id), count(DISTINCT id) FROM fetch_log") == [(len(ROWS) + 1, len(ROWS) + 1)]


def test_the_way_back_keeps_the_rows_and_forgets_what_the_months_had_no_room_for(monthly):
    migrate.upgrade(monthly)
    with connected(monthly) as connection, connection.begin():
        failure = INSERT.replace("(at,", "(kind, at,").replace("(:at", "('failure', :at")
        connection.execute(text(failure), {"key": ROWS[0][0], "at": ROWS[0][1]})
    command.downgrade(alembic_config(monthly), "0003")
    assert select(monthly, PARTITIONS) == [("fetch_log_m2026_10",), ("fetch_log_m2026_11",)]
    assert select(monthly, "SELECT payload_key, at FROM fetch_log ORDER BY id") == ROWS
    migrate.upgrade(monthly)
    assert select(monthly, "SELECT payload_key, at FROM fetch_log ORDER BY id") == ROWS
