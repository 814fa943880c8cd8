"""As of: what it costs to read bars as they were known, beside reading them as they are.

The rows are simulated by SQL: every other bar was seen twice, every sixtieth was corrected. Deliberately not here: what
keeping it costs, which is part of `ingest`. Invariant: both reads bring as many rows, and differ in those that were
corrected after the moment and in no others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import text

from benchmarks.cpu import cpu_s, spent
from benchmarks.stage import Stage, context_of, stage
from ingest.pipeline.context import Context
from ingest.pipeline.read import Wanted, stored, within

NAME = "as_of"
HELP = "rows a second as they were known at a moment, beside rows as they are"
_FIRST = datetime(2023, 1, 1, tzinfo=UTC)
_FILL = (
    "INSERT INTO series (id, provider, dataset, instrument, interval) OVERRIDING SYSTEM VALUE"
    " VALUES (1, 'binance', 'bars', 'BTC-USDT', '1m')",
    """
    INSERT INTO bars (series_id, ts, open, high, low, close, volume, quote_volume, trade_count, is_final,
        observed_at, known_since, job_id)
    SELECT 1, ts, 61234.10 + n % 7, 61300.20, 61100.00, 61200.50 + n % 10, 12.34500, 755432.12, 1234, true,
        ts + interval '10 minutes', CASE WHEN n % 2 = 0 THEN ts + interval '2 minutes' END, 1
    FROM generate_series(0, :rows - 1) AS n, LATERAL (SELECT :first + n * interval '1 minute' AS ts) AS bar
    """,
    """
    INSERT INTO revisions (series_id, ts, old_row, known_since, superseded_at, job_id)
    SELECT series_id, ts, to_jsonb(bars), ts + interval '2 minutes', :corrected, 1
    FROM bars WHERE extract(minute FROM ts) = 7
    """,
    """
    UPDATE bars SET close = close + 1, observed_at = :corrected, known_since = NULL WHERE extract(minute FROM ts) = 7
    """,
)


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--rows", type=int, default=400_000, help="bars (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether the reads differ in other rows than those that were corrected."""
    return bool(figures["differing"] != figures["corrected"])


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fill a table, then read it in turns: as it is, as it was before all corrections, as it was known at the end."""
    end = _FIRST + timedelta(minutes=chosen.rows) + timedelta(days=1)
    moments = {"plain": None, "before": end - timedelta(hours=1), "after": end}
    with stage() as ground, context_of(ground) as context:
        context.make_room("bars", _FIRST, end)
        with context.sessions.begin() as session:
            for statement in _FILL:
                session.execute(text(statement), {"rows": chosen.rows, "first": _FIRST, "corrected": end})
        with closing(ground.database()) as connection, connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE bars, revisions")
            cursor.execute("SELECT count(*) FROM revisions")
            [corrected] = cursor.fetchone() or [0]
        rounds = [
            {name: _read(ground, context, as_of) for name, as_of in list(moments.items())[:: -1 if number % 2 else 1]}
            for number in range(chosen.rounds)
        ]
    pairs = zip(rounds[0]["plain"].closes, rounds[0]["before"].closes, strict=True)
    return {
        **{f"{name}_rows_s": round(chosen.rows / median(one[name].took_s for one in rounds)) for name in moments},
        **{f"{name}_cpu_us": round(1e6 * _cpu_s(rounds, name) / chosen.rows, 2) for name in moments},
        **{
            f"ratio_{name}": round(_cpu_s(rounds, name) / _cpu_s(rounds, "plain"), 2)
            for name in moments
            if name != "plain"
        },
        "corrected": int(corrected),
        "differing": sum(one != other for one, other in pairs),
    }


@dataclass(frozen=True, slots=True)
class _Done:
    """A read of everything: what it brought, how long it took, and the CPU of this process and of PostgreSQL."""

    closes: list[str]
    took_s: float
    cpu_s: float


def _read(ground: Stage, context: Context, as_of: datetime | None) -> _Done:
    wanted = within(Wanted("bars", {"BTC-USDT": 1}), start=None, end=None, as_of=as_of)
    assert ground.servers.postgres is not None
    postgres = {"postgres": ground.servers.postgres.pid}
    before, own, began = cpu_s(postgres), time.process_time(), time.monotonic()
    frame = stored(context.sessions, wanted)
    took_s, own = time.monotonic() - began, time.process_time() - own
    return _Done(frame["close"].to_list(), took_s, own + spent(before, cpu_s(postgres), per=1, digits=6)["postgres"])


def _cpu_s(rounds: Sequence[Mapping[str, _Done]], name: str) -> float:
    """Return the median: it moves less with what else runs than the time taken."""
    return median(one[name].cpu_s for one in rounds)
