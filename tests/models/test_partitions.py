"""Partitions: every moment belongs to exactly one, they are made once whoever asks, and keep the parent's rules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import sessionmaker

from models import open_engine
from models.partitions import PARTITIONED, ensure_partitions, partition_of
from tests.models.rows import bar, select, store

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1900, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC) | zones)  # noqa: DTZ001
tables = st.sampled_from(sorted(PARTITIONED))


@pytest.fixture
def own_sessions(database_url):
    """Return sessions on a database without any partition."""
    engine = open_engine(database_url, application_name="test partitions", pooled=False)
    yield sessionmaker(engine)
    engine.dispose()


@given(tables, moments)
def test_every_moment_lies_in_the_bounds_of_its_partition(table, ts):
    _, start, end = partition_of(table, ts)
    assert start <= ts < end


@given(tables, moments, moments)
def test_two_moments_share_a_partition_or_theirs_do_not_overlap(table, one, other):
    first, second = partition_of(table, one), partition_of(table, other)
    assert (first == second) == (first[0] == second[0])
    assert first == second or first[2] <= second[1] or second[2] <= first[1]


@given(tables, moments)
def test_the_following_partition_begins_where_one_ends(table, ts):
    _, _, end = partition_of(table, ts)
    assert partition_of(table, end)[1] == end
    assert partition_of(table, end - timedelta(microseconds=1)) == partition_of(table, ts)


def test_what_is_missing_between_two_moments_is_made_once(own_sessions):
    with own_sessions.begin() as session:
        made = ensure_partitions(
            session, "quotes", datetime(2023, 11, 30, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
        )
    assert made == ["quotes_m2023_11", "quotes_m2023_12", "quotes_m2024_01", "quotes_m2024_02"]
    with own_sessions.begin() as session:
        again = ensure_partitions(
            session, "quotes", datetime(2023, 10, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
        )
    assert again == ["quotes_m2023_10", "quotes_m2023_11", "quotes_m2023_12", "quotes_m2024_01"]


def test_the_database_agrees_with_the_bounds(own_sessions):
    with own_sessions.begin() as session:
        ensure_partitions(session, "bars", datetime(2022, 6, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))
    edges = [datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, 23, 59, tzinfo=UTC)]
    store(own_sessions, *[bar(ts=ts) for ts in edges], bar(ts=edges[0] - timedelta(minutes=1)))
    assert select(own_sessions, "SELECT tableoid::regclass::text FROM bars ORDER BY ts") == [
        ("bars_y2022",),
        ("bars_y2023",),
        ("bars_y2023",),
    ]


def test_racing_creators_make_each_partition_once_and_all_succeed(own_sessions):
    creators = 5
    together = Barrier(creators)

    def create(number):
        together.wait(10)
        with own_sessions.begin() as session:
            start = datetime(2019 + number % 2, 1, 1, tzinfo=UTC)
            return ensure_partitions(session, "bars", start, datetime(2023, 1, 1, tzinfo=UTC))

    with ThreadPoolExecutor(creators) as pool:
        made = list(pool.map(create, range(creators)))
    assert made[0] == [f"bars_y{year}" for year in range(2019, 2024)]
    attached = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'bars'::regclass ORDER BY 1"
    assert [name for (name,) in select(own_sessions, attached)] == made[0]


def test_a_partition_keeps_the_primary_key_and_the_checks_of_its_table(own_sessions):
    with own_sessions.begin() as session:
        for table in PARTITIONED:
            ensure_partitions(session, table, datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC))
    rules = (
        "SELECT contype, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = CAST(:table AS regclass) ORDER BY 1, 2"
    )
    for table in PARTITIONED:
        name, _, _ = partition_of(table, datetime(2024, 3, 5, tzinfo=UTC))
        assert select(own_sessions, rules, table=name) == select(own_sessions, rules, table=table) != []
    insert = (
        "INSERT INTO bars_y2024 SELECT 1, '2024-03-05Z', 1, 1, 1, 1, NULL, NULL, NULL, NULL, true, now(), 1"
        " FROM generate_series(1, 2)"
    )
    with pytest.raises(IntegrityError, match="duplicate key"):
        select(own_sessions, insert)


def test_a_row_without_a_partition_is_refused_not_misplaced(own_sessions):
    with pytest.raises(IntegrityError, match="no partition"):
        store(own_sessions, bar())
