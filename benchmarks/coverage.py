"""Coverage: how long the report takes over a ledger of many years.

The ledger's rows are simulated by SQL: what is measured is the report, which never reads the data. After the change
nothing is summed up before the last report: it reads the days of the months that changed. Deliberately not here: how a
day is proven (models/evidence).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.stage import context_of, stage
from ingest.market.times import midnight
from ingest.pipeline.coverage import coverage
from ingest.settings import Settings
from models.ledger_months import roll

NAME = "coverage"
HELP = "the report over a ledger of many series and years"
_FILL = text("""
    WITH made AS (
        INSERT INTO series (provider, dataset, instrument, interval, followed, since, planned_from, planned_until)
        SELECT 'binance', 'bars', 'C' || n || '-USDT', '1m', true, :first, :first, :planned
        FROM generate_series(1, :series) AS n RETURNING id
    )
    INSERT INTO ledger (series_id, day, expected, stored, final, hash, state, once, job_id, updated_at)
    SELECT id, day::date, 1440, 1440, 1440, id * 1000003, 'verified',
        tstzmultirange(tstzrange(day, day + interval '1 day')), 1, now()
    FROM made, generate_series(CAST(:first AS timestamptz), CAST(:last AS timestamptz), '1 day') AS day
""")
_CHANGE = text("""
    UPDATE ledger SET state = 'fetched', final = final - 1
    WHERE (series_id, day) IN (SELECT series_id, day FROM ledger TABLESAMPLE BERNOULLI (1))
""")


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--series", type=int, default=100, help="series (default: %(default)s)")
    options.add_argument("--years", type=int, default=10, help="years of each (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help="reports, of which the slowest counts")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether the report overlooked the days that were changed."""
    return bool(figures["gap_days"] != figures["changed_days"])


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fill a ledger, report, change a hundredth of the days, report again."""
    now = datetime.now(UTC)
    today = midnight(now.date())
    span = {
        "first": today - timedelta(days=365 * chosen.years),
        "last": today - timedelta(days=1),
        "planned": today + timedelta(days=1),  # as a check of gaps leaves it
    }
    with stage() as ground, context_of(ground) as context:
        with context.sessions.begin() as session:
            session.execute(_FILL, span | {"series": chosen.series})
        with closing(ground.database()) as connection, connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE ledger")
        with context.sessions() as session:
            days = int(session.scalar(text("SELECT count(*) FROM ledger")) or 0)
            unrolled_s, _ = _reports(session, context.settings, now, chosen.rounds)
        first_roll_s = max(_roll(context.sessions), _roll(context.sessions))  # the second one takes the months over
        with context.sessions() as session:
            report_s, _ = _reports(session, context.settings, now, chosen.rounds)
        with context.sessions.begin() as session:
            changed = session.execute(_CHANGE).rowcount  # type: ignore[attr-defined]
        with context.sessions() as session:
            again_s, gap_days = _reports(session, context.settings, now, chosen.rounds)
            months = session.scalar(
                text("SELECT count(DISTINCT (series_id, date_trunc('month', day))) FROM ledger_changes")
            )
        return {
            "report_s": round(report_s, 3),
            "incremental_ms": round(1000 * again_s, 1),
            "unrolled_s": round(unrolled_s, 3),
            "first_roll_s": round(first_roll_s, 3),
            "roll_ms": round(1000 * _roll(context.sessions), 1),
            "days": days,
            "changed_days": changed,
            "changed_months": months,
            "gap_days": gap_days,
        }


def _roll(sessions: sessionmaker[Session]) -> float:
    """Sum up what changed, as a check of gaps does at its end; return how long it took."""
    began = time.monotonic()
    with sessions.begin() as session:
        roll(session)
    return time.monotonic() - began


def _reports(session: Session, config: Settings, now: datetime, rounds: int) -> tuple[float, int]:
    """Return how long the slowest of some reports took, and the unproven days that the last one counts."""
    made = [_report(session, config, now) for _ in range(rounds)]
    return max(took for took, _ in made), made[-1][1]


def _report(session: Session, config: Settings, now: datetime) -> tuple[float, int]:
    """Return how long a report took, and the unproven days that it counts."""
    began = time.monotonic()
    found = coverage(session, config, now)
    return time.monotonic() - began, sum(one.gap_days for one in found)
