"""The schema for readers: what its views say, that each is explained, and who may read them and nothing else.

Deliberately not here: how fast they are (test_reader_plans.py). Invariant: the reader is a login of its own, in the
role that the migration made.
"""

from __future__ import annotations

import itertools
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg2
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import make_url

from ingest.market.records import VALUE_COLUMNS
from models import Base, migrate
from models.partitions import ensure_partitions
from tests.conftest import statement
from tests.models.rows import select
from tests.models.test_migrations import alembic_config, database
from tests.stored_rows import START, add_series, keep, rows_of

PASSWORD = "a-reader-s-own"
VIEWS = "SELECT viewname FROM pg_views WHERE schemaname = 'md' ORDER BY 1"
_numbers = itertools.count(1)


def rows(url, query, *, user=None):
    """Return a query's rows as that user gets them."""
    address = make_url(url).set(drivername="postgresql")
    if user is not None:
        address = address.set(username=user, password=PASSWORD)
    with closing(psycopg2.connect(address.render_as_string(hide_password=False))) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def login(url, options):
    """Make a login, and take it away with all that is its own."""
    name = f"somebody_{next(_numbers)}"
    statement(url, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {options}")
    try:
        yield name
    finally:
        statement(url, f"DROP OWNED BY {name}")
        statement(url, f"DROP ROLE {name}")


@pytest.fixture
def reader(sessions, module_database_url):
    with login(module_database_url, "IN ROLE tickfarm_reader") as name:
        yield name


def views(url):
    return [name for (name,) in rows(url, VIEWS)]


# --- Who may read ----------------------------------------------------------------------------------------------------


def test_a_reader_reads_every_view(module_database_url, reader):
    found = views(module_database_url)
    assert {"bars", "bars_1m", "bars_5m", "bars_1h", "bars_1d", "adjusted_bars", "latest_quotes", "latest_bars"} <= {
        *found
    }
    assert {"coverage", "gaps", "instruments", "actions", "observations", "observations_all", "ingest_log"} <= {*found}
    for view in found:
        assert rows(module_database_url, f"SELECT * FROM md.{view}", user=reader) == [], view


def test_a_reader_reads_no_table_and_no_other_view(module_database_url, reader):
    kinds = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')"
    tables = [name for (name,) in rows(module_database_url, kinds)]
    assert {*Base.metadata.tables, "adjusted_bars"} <= {*tables}
    for table in tables:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows(module_database_url, f"SELECT * FROM public.{table}", user=reader)


@pytest.mark.parametrize(
    "attempt",
    [
        "INSERT INTO public.series (provider, dataset, instrument) VALUES ('p', 'bars', 'A')",
        "UPDATE public.bars SET close = 1",
        "DELETE FROM public.jobs",
        "TRUNCATE public.ledger",
        "UPDATE md.bars_1m SET close = 1",
        "UPDATE md.ingest_log SET outcome = ''",
        "DELETE FROM md.ingest_log",
        "INSERT INTO md.series (provider) VALUES ('p')",
        "CREATE TABLE public.mine (id int)",
        "CREATE VIEW md.mine AS SELECT 1",
        "DROP VIEW md.bars CASCADE",
        "ALTER ROLE tickfarm_reader LOGIN",
        "CREATE ROLE another",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
        "SELECT rolpassword FROM pg_authid",
        "COPY (SELECT 1) TO '/dev/null'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_a_reader_can_change_nothing_and_see_nothing_of_the_server(module_database_url, reader, attempt):
    other = psycopg2.connect(make_url(module_database_url).set(drivername="postgresql").render_as_string(False))
    refusals = (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ObjectNotInPrerequisiteState)
    with closing(other), pytest.raises(refusals):
        rows(module_database_url, attempt, user=reader)


def test_a_view_of_a_later_migration_is_readable_too(module_database_url, reader):
    statement(module_database_url, "CREATE VIEW md.later AS SELECT 1 AS one")
    try:
        assert rows(module_database_url, "SELECT one FROM md.later", user=reader) == [(1,)]
    finally:
        statement(module_database_url, "DROP VIEW md.later")


def test_who_is_no_reader_reads_nothing(module_database_url):
    with login(module_database_url, "") as stranger, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        rows(module_database_url, "SELECT * FROM md.bars", user=stranger)


def test_an_owner_who_may_make_no_roles_migrates_and_grants_to_the_role_that_is_there(servers, template_database):
    with database(servers, "owned") as url, login(url, "") as owner, login(url, "IN ROLE tickfarm_reader") as reader:
        statement(url, f"GRANT CREATE ON DATABASE owned TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}")
        migrate.upgrade(make_url(url).set(username=owner, password=PASSWORD).render_as_string(hide_password=False))
        assert rows(url, "SELECT * FROM md.bars", user=reader) == []
        made = ScriptDirectory.from_config(alembic_config(url)).get_revision("0015").module._MAKE_ROLE
        rows(url, made.replace("tickfarm_reader", "tickfarm_never"), user=owner)
        assert rows(url, "SELECT FROM pg_roles WHERE rolname = 'tickfarm_never'") == []


def test_a_downgrade_takes_the_views_and_leaves_the_role_to_the_other_databases(servers, module_database_url, reader):
    with database(servers, "taken_back") as url:
        migrate.upgrade(url)
        command.downgrade(alembic_config(url), "0014")
        assert rows(url, "SELECT FROM pg_namespace WHERE nspname = 'md'") == []
        assert rows(url, "SELECT FROM pg_default_acl") == []
        migrate.upgrade(url)
        assert rows(url, "SELECT * FROM md.bars", user=reader) == []
    assert rows(module_database_url, "SELECT * FROM md.bars", user=reader) == []


# --- What they say ---------------------------------------------------------------------------------------------------


def test_the_schema_each_view_and_each_column_is_explained(module_database_url):
    silent = (
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0"
        " WHERE relnamespace = 'md'::regnamespace AND relkind = 'v'"
        " AND (col_description(pg_class.oid, attnum) IS NULL OR obj_description(pg_class.oid) IS NULL)"
    )
    assert rows(module_database_url, silent) == []
    assert "UTC" in rows(module_database_url, "SELECT obj_description('md'::regnamespace)")[0][0]


def test_the_views_of_rows_have_every_value_that_is_stored(module_database_url):
    for view in ("bars", "quotes", "trades", "observations", "actions"):
        found = (
            f"SELECT column_name FROM information_schema.columns WHERE table_schema = 'md' AND table_name = '{view}'"
        )
        columns = {name for (name,) in rows(module_database_url, found)}
        assert {*VALUE_COLUMNS[view]} - columns <= {"action_id"}, view


def test_bars_have_names_and_each_interval_a_view_of_its_own(sessions):
    for interval, count in (("1m", 5), ("1h", 3)):
        keep(sessions, "bars", add_series(sessions, interval=interval), rows_of("bars", count, close="1.2500"))
    found = select(sessions, "SELECT provider, instrument, interval, count(*) FROM md.bars GROUP BY 1, 2, 3 ORDER BY 4")
    assert found == [("binance", "BTC-USDT", "1h", 3), ("binance", "BTC-USDT", "1m", 5)]
    assert select(sessions, "SELECT count(*), min(close)::text FROM md.bars_1m") == [(5, "1.2500")]
    counts = "SELECT (SELECT count(*) FROM md.bars_1h), (SELECT count(*) FROM md.bars_5m), count(*) FROM md.bars_1d"
    assert select(sessions, counts) == [(3, 0, 0)]


def test_the_latest_are_one_row_a_series(sessions):
    last = START + timedelta(minutes=29)
    for dataset in ("bars", "quotes"):
        for instrument in ("BTC-USDT", "ETH-USDT"):
            keep(sessions, dataset, add_series(sessions, instrument, dataset=dataset), rows_of(dataset, 30))
        add_series(sessions, "SOL-USDT", dataset=dataset)
        found = select(sessions, f"SELECT instrument, ts FROM md.latest_{dataset} ORDER BY 1")
        assert found == [("BTC-USDT", last), ("ETH-USDT", last)]


def test_instruments_are_one_row_each_with_what_is_kept_of_them(sessions):
    for dataset, interval in (("bars", "1m"), ("bars", "1d"), ("quotes", "")):
        add_series(sessions, dataset=dataset, interval=interval)
    found = select(sessions, "SELECT instrument, datasets, intervals, followed FROM md.instruments")
    assert found == [("BTC-USDT", ["bars", "quotes"], ["1d", "1m"], False)]
    assert select(sessions, "SELECT count(*) FROM md.series") == [(3,)]


def test_of_an_observation_the_newest_vintage_is_what_is_known(sessions):
    series = add_series(sessions, "UNRATE", provider="fred", dataset="observations")
    for vintage, value in (("2024-05-03", "3.9"), ("2024-06-07", "4.0")):
        keep(sessions, "observations", series, rows_of("observations", 1, vintage=vintage, value=value))
    assert select(sessions, "SELECT value, vintage FROM md.observations") == [(Decimal("4.0"), date(2024, 6, 7))]
    assert select(sessions, "SELECT count(*) FROM md.observations_all WHERE vintage < '2024-06-01'") == [(1,)]


def test_adjusted_bars_and_actions_are_those_of_the_instrument(sessions):
    days = [datetime(2020, 8, 28, tzinfo=UTC), datetime(2020, 8, 31, tzinfo=UTC)]
    bars = [rows_of("bars", 1, close=close, ts=ts)[0] for ts, close in zip(days, ("400", "100"), strict=True)]
    keep(sessions, "bars", add_series(sessions, "AAPL", provider="fmp", interval="1d"), bars)
    actions = add_series(sessions, "AAPL", provider="fmp", dataset="actions")
    keep(sessions, "actions", actions, rows_of("actions", 1, ts=days[1], action_id='""'))
    adjusted = "SELECT close, factor FROM md.adjusted_bars WHERE instrument = 'AAPL' ORDER BY ts"
    assert select(sessions, adjusted) == [(100, Decimal("0.25")), (100, 1)]
    found = select(sessions, "SELECT ex_date, kind, split_from, split_to FROM md.actions")
    assert found == [(date(2020, 8, 31), "split", 1, 4)]


def test_coverage_and_gaps_say_what_is_proven_and_what_is_owed(sessions):
    series = add_series(sessions)
    insert = text(
        "INSERT INTO ledger (series_id, day, expected, stored, final, confirmed, state, job_id, updated_at)"
        " VALUES (:id, current_date - CAST(:ago AS int), 1440, :stored, :stored, :confirmed, :state, 1, now())"
    )
    days = [(0, 10, 0, "planned"), (1, 1440, 0, "verified"), (2, 1000, 40, "fetched"), (3, 700, 0, "suspect")]
    with sessions.begin() as session:
        for ago, stored, confirmed, state in days:
            values = {"id": series, "ago": ago, "stored": stored, "confirmed": confirmed, "state": state}
            session.execute(insert, values)
    found = select(sessions, "SELECT days, expected, proven, percent, gap_days, suspect_days FROM md.coverage")
    assert found == [(3, 3 * 1440, 1440 + 1040, Decimal("57.41"), 2, 1)]
    assert select(sessions, "SELECT count(*) FROM md.coverage_days") == [(4,)]
    gaps = "SELECT current_date - day, state, missing FROM md.gaps ORDER BY day DESC"
    assert select(sessions, gaps) == [], "nobody follows it"
    with sessions.begin() as session:
        session.execute(text("UPDATE series SET followed = true"))
    assert select(sessions, gaps) == [(2, "fetched", 400), (3, "suspect", 740)]


def test_an_hour_s_quality_is_of_its_requests_and_findings(sessions):
    add_series(sessions)
    noon = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    log = text(
        "INSERT INTO fetch_log (at, attempt, provider, dataset, lane, requests, weight, failed, duration_ms, outcome,"
        " kind, latency_ms, body_bytes) VALUES (:at, 1, 'binance', 'bars', 'live', :requests, 1, :failed, 9, 'fetched',"
        " :kind, :latency, 100)"
    )
    finding = text(
        "INSERT INTO findings"
        " (at, job_id, provider, dataset, rule, severity, rows, reason, sample, payload_key, answer)"
        " VALUES (:at, 1, 'binance', 'bars', 'r', :severity, :rows, '', '', :severity, 0)"
    )
    with sessions.begin() as session:
        ensure_partitions(session, "fetch_log", noon, noon + timedelta(hours=3))
        batch = {"requests": 10, "failed": 2, "kind": "batch", "latency": [*range(10, 90, 10)]}
        failure = {"requests": 0, "failed": 0, "kind": "failure", "latency": [9_999]}
        for minutes, row in ((0, batch), (30, failure), (150, batch | {"failed": 0})):
            session.execute(log, row | {"at": noon + timedelta(minutes=minutes)})
        for severity, count in (("reject", 3), ("warn", 5)):
            session.execute(finding, {"at": noon + timedelta(minutes=59), "severity": severity, "rows": count})
    columns = "hour, requests, failed, success_rate, p50_ms, p95_ms, rejected, warned"
    first, second = select(sessions, f"SELECT {columns} FROM md.quality_by_hour ORDER BY hour")
    assert first == (noon, 10, 2, Decimal("0.8000"), 40, 80, 3, 5)
    assert second == (noon + timedelta(hours=2), 10, 0, 1, 40, 80, 0, 0)
    assert select(sessions, "SELECT sum(requests), sum(failed) FROM md.ingest_log") == [(20, 2)]
