"""The REST API and the dashboard over a real socket: a year of one-minute bars as a Parquet file, and the home page.

The dashboard is a process of its own, as `python -m dashboard` starts it. The time goes from the request to the last
byte, at a client that only receives. Deliberately not here: reading from Python (as_of). Invariant: what was measured
holds every row of the table with every digit.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import requests
from sqlalchemy import text

from benchmarks.cpu import cpu_s, spent
from benchmarks.stage import Stage, context_of, listens, running, stage, until
from ingest.market.times import midnight
from local.port import LOOPBACK, free_port

NAME = "api"
HELP = "a year of one-minute bars as Parquet, and the home page of 500 series"
_FIRST = datetime(2023, 1, 1, tzinfo=UTC)
_SERIES = """
    WITH made AS (
        INSERT INTO series (provider, dataset, instrument, interval, followed, since, planned_from, planned_until)
        SELECT 'binance', 'bars', 'C' || n || '-USDT', '1m', true, :first, :first, :planned
        FROM generate_series(1, :series) AS n RETURNING id
    )
    INSERT INTO ledger (series_id, day, expected, stored, final, hash, state, once, job_id, updated_at)
    SELECT id, day::date, 1440, 1440, 1440, id * 1000003,
        CASE WHEN extract(day FROM day)::int + id % 10 = 12 THEN 'suspect' ELSE 'verified' END,
        tstzmultirange(tstzrange(day, day + interval '1 day')), 1, now()
    FROM made, generate_series(CAST(:first AS timestamptz), CAST(:last AS timestamptz), '1 day') AS day
"""
_NEWEST = """
    INSERT INTO bars (series_id, ts, open, high, low, close, volume, is_final, observed_at, job_id)
    SELECT id, date_trunc('minute', :now - n * interval '1 minute'), 1, 1, 1, 1, 1, true, :now, 1
    FROM series, generate_series(1, 60) AS n WHERE instrument LIKE 'C%'
"""
_FILL = (
    "INSERT INTO series (id, provider, dataset, instrument, interval) OVERRIDING SYSTEM VALUE"
    " VALUES (1000000, 'binance', 'bars', 'BTC-USDT', '1m')",
    """
    INSERT INTO bars (series_id, ts, open, high, low, close, volume, quote_volume, trade_count, is_final,
        observed_at, job_id)
    SELECT 1000000, ts, 61234.10 + n % 7, 61300.20, 61100.00, 61200.50 + n % 10, 12.34500, 755432.12, 1234, true,
        ts + interval '10 minutes', 1
    FROM generate_series(0, :rows - 1) AS n, LATERAL (SELECT :first + n * interval '1 minute' AS ts) AS bar
    """,
    """
    INSERT INTO ledger (series_id, day, expected, stored, final, state, once, job_id, updated_at)
    SELECT series_id, day, 1440, count(*), count(*), 'verified',
        tstzmultirange(tstzrange(day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC')), 1, now()
    FROM bars, LATERAL (SELECT (ts AT TIME ZONE 'UTC')::date AS day) AS dated WHERE series_id = 1000000 GROUP BY 1, 2
    """,
)


@dataclass(frozen=True, slots=True)
class _Dashboard:
    """A dashboard that serves at `url`."""

    url: str
    pid: int


def add_options(options: argparse.ArgumentParser) -> None:
    """Declare what can be chosen."""
    options.add_argument("--rows", type=int, default=525_600, help="bars (default: %(default)s, a year)")
    options.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    options.add_argument("--series", type=int, default=500, help="series on the home page (default: %(default)s)")
    options.add_argument("--visits", type=int, default=60, help="visits of the home page (default: %(default)s)")


def is_bad(figures: Mapping[str, Any]) -> bool:
    """Say whether a row is missing, or differs from the table's."""
    return bool(figures["parquet_differs"])


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure each part on a stage of its own: what the other has written is still being put away."""
    with stage() as ground:
        figures = _parquet(ground, chosen.rows, chosen.rounds)
    with stage() as ground:
        return figures | _home(ground, chosen.series, chosen.visits)


@contextmanager
def _dashboard(ground: Stage, *, cache_mb: int = 1024) -> Iterator[_Dashboard]:
    port = free_port()
    env = {
        "DATABASE_URL": ground.urls.database_url,
        "REDIS_URL": ground.urls.redis_url,
        "TICKFARM_DASHBOARD_PORT": str(port),
        "TICKFARM_HOME": str(ground.home),
        "TICKFARM_EXPORT_CACHE_MB": str(cache_mb),
    }
    with running(ground, "dashboard", sys.executable, "-m", "dashboard", env=env) as child:
        until(lambda: listens(port), 30, f"the dashboard to listen (log: {child.log})")
        yield _Dashboard(f"http://{LOOPBACK}:{port}", child.pid)


def _parquet(ground: Stage, rows: int, rounds: int) -> dict[str, Any]:
    """Return the rows a second, what a row costs, and the most memory that the dashboard held."""
    end = _FIRST + timedelta(minutes=rows)
    with context_of(ground) as context:
        context.make_room("bars", _FIRST, end)
        with context.sessions.begin() as session:
            for statement in _FILL:
                session.execute(text(statement), {"rows": rows, "first": _FIRST})
    with closing(ground.database()) as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE bars, ledger")
    query = {"provider": "binance", "instrument": "BTC-USDT", "interval": "1m", "format": "parquet"}
    window = {"start": _FIRST.isoformat(), "end": end.isoformat()}
    assert ground.servers.postgres is not None
    with _dashboard(ground, cache_mb=0) as served:
        pids = {"dashboard": served.pid, "postgres": ground.servers.postgres.pid}
        before = cpu_s(pids)
        took_s, answer = _asked(f"{served.url}/v1/bars", query | window, rounds)
        used = spent(before, cpu_s(pids), per=rounds * rows / 1e6, digits=2)
        peak_mb = _peak_mb(served.pid)
    with _dashboard(ground) as served:
        [first_s], _ = _asked(f"{served.url}/v1/bars", query | window, 1)
        months_s, of_months = _asked(f"{served.url}/v1/bars", query | window, rounds)
    tables, months = (pq.read_table(io.BytesIO(one)) for one in (answer, of_months))
    closes = str(pc.sum(tables["close"]))
    return {
        "parquet_rows_s": round(rows / median(took_s)),
        "parquet_best_rows_s": round(rows / min(took_s)),
        "parquet_cpu_us": used,
        "parquet_first_rows_s": round(rows / first_s),
        "parquet_months_rows_s": round(rows / median(months_s)),
        "parquet_mb": round(len(answer) / 1e6, 1),
        "parquet_peak_mb": peak_mb,
        "parquet_differs": int(tables.num_rows != rows or closes != _in_table(ground) or not tables.equals(months)),
    }


def _asked(address: str, query: Mapping[str, str], rounds: int) -> tuple[list[float], bytes]:
    """Return how long each of some answers took, and the last one."""
    took_s = []
    for _ in range(rounds):
        began = time.monotonic()
        answer = requests.get(address, query, timeout=120)
        took_s.append(time.monotonic() - began)
        answer.raise_for_status()
    return took_s, answer.content


def _home(ground: Stage, series: int, visits: int) -> dict[str, Any]:
    """Return how long the home page takes with 30 days of so many series, one visitor after the other."""
    now = datetime.now(UTC)
    today = midnight(now.date())
    span = {
        "first": today - timedelta(days=30),
        "last": today - timedelta(days=1),
        "planned": today + timedelta(days=1),
    }
    with context_of(ground) as context:
        context.make_room("bars", now - timedelta(hours=2), now)
        with context.sessions.begin() as session:
            session.execute(text(_SERIES), span | {"series": series})
            session.execute(text(_NEWEST), {"now": now})
    with closing(ground.database()) as connection, connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE ledger, bars, series")
    with _dashboard(ground) as served, requests.Session() as visitor:
        took_ms = []
        for at in range(visits + 1):
            began = time.monotonic()
            answer = visitor.get(served.url, timeout=30)
            answer.raise_for_status()
            if at:  # the first one loads what every later one has
                took_ms.append((time.monotonic() - began) * 1000)
    ends = quantiles(took_ms, n=20)
    return {
        "home_p50_ms": round(ends[9]),
        "home_p95_ms": round(ends[18]),
        "home_kb": len(answer.content) // 1000,
        "home_series": answer.text.count('href="/series/'),
    }


def _in_table(ground: Stage) -> str:
    with closing(ground.database()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT sum(close)::text FROM bars")
        return str((cursor.fetchone() or [""])[0])


def _peak_mb(pid: int) -> int:
    """Return the most memory that the process has held; 0 where nothing tells."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), 0)
