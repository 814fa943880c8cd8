"""Old things for the tests of retention: rows with their ledger, jobs, log lines and segments of an age.

Deliberately not here: what becomes of them. Invariant: rows come by the write path, so that the ledger is production's.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from ingest.payloads import payload_key
from models.upsert import Written
from tests.models.rows import store
from tests.pipeline.farm import Farm

NOW = datetime.now(UTC)
_VALUES: dict[str, dict[str, Any]] = {
    "bars": {"open": "1.1", "high": "1.3", "low": "0.9", "close": "1.2", "is_final": "t"},
    "trades": {"trade_id": 1, "price": "1.10", "size": "2"},
    "quotes": {"bid": "1.10", "ask": "1.11"},
    "books": dict.fromkeys(("bid_prices", "bid_sizes", "ask_prices", "ask_sizes"), '"{1.1}"'),
    "news": {"title": "A title", "url": "https://example.com", "instruments": "{}"},
    "observations": {"vintage": "2016-03-01", "vintage_given": "t", "value": "1.10"},
    "posts": {"text": "A text", "instruments": "{}"},
    "actions": {"kind": "dividend", "action_id": '""', "amount": "0.26"},
}
#: Keys that hold no time, and so must differ by themselves.
_NAMES = {"news": "article_id", "posts": "post_id"}


def days_ago(days: float) -> datetime:
    """Return that moment."""
    return NOW - timedelta(days=days)


def series_of(farm: Farm, dataset: str, instrument: str = "BTC-USDT") -> int:
    """Make a series and return its id."""
    farm.change(
        "INSERT INTO series (provider, dataset, instrument) VALUES ('binance', :dataset, :name)",
        dataset=dataset,
        name=instrument,
    )
    return int(farm.value("SELECT max(id) FROM series"))


def put_rows(farm: Farm, dataset: str, series: int, *moments: datetime, **values: Any) -> Written:
    """Store a row at each of these moments, observed now."""
    farm.context.make_room(dataset, min(moments), max(moments))
    row = {"series_id": series, "observed_at": datetime.now(UTC), "job_id": 1, **_VALUES[dataset], **values}
    rows: list[dict[str, Any]] = [{**row, "ts": ts} for ts in moments]
    if dataset in _NAMES:
        rows = [{_NAMES[dataset]: f"{one['ts']:%Y%m%d%H%M%S}", **one} for one in rows]
    return store(farm.context.sessions, *rows, dataset=dataset)


def put_trades(farm: Farm, series: int, day: datetime, count: int, *, every: str = "0.1 second") -> None:
    """Store many trades from that moment on, and enter them in the ledger as verified: one day's at most."""
    farm.context.make_room("trades", day, day)
    farm.change(
        "INSERT INTO trades (series_id, ts, trade_id, price, size, observed_at, job_id)"
        " SELECT :series, CAST(:day AS timestamptz) + n * CAST(:every AS interval), n, 1, 1, now(), 1"
        " FROM generate_series(1, :count) n",
        series=series,
        day=day,
        every=every,
        count=count,
    )
    farm.change(
        "INSERT INTO ledger (series_id, day, stored, final, state, job_id, updated_at)"
        " VALUES (:series, :day, :count, :count, 'verified', 1, now())",
        series=series,
        day=day.date(),
        count=count,
    )


def verify(farm: Farm, *days: date, state: str = "verified") -> None:
    """Say of these days, of every series, that they are verified; of all if none is named."""
    where = "WHERE day = ANY(:days)" if days else ""
    farm.change(f"UPDATE ledger SET state = :state {where}", state=state, **({"days": list(days)} if days else {}))


def put_jobs(farm: Farm, state: str, at: datetime, *, count: int = 1, **columns: Any) -> list[int]:
    """Put jobs into the table that were made and, if they are over, ended at that moment; return their ids."""
    first = int(farm.value("SELECT coalesce(max(id), 0) FROM jobs"))
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", :{name}" for name in columns)
    farm.change(
        f"INSERT INTO jobs (key, task, lane, kwargs, state, attempt, due_at, created_at, finished_at{names})"
        f" SELECT 'old:' || :first || ':' || n, 'tasks.fetch.binance', 'live', '{{}}', :state, 1, :at, :at,"
        " CASE WHEN :state IN ('due', 'leased', 'fetched') THEN NULL ELSE CAST(:at AS timestamptz) END"
        f"{values} FROM generate_series(1, :count) n",
        first=first,
        state=state,
        at=at,
        count=count,
        **columns,
    )
    return [one for (one,) in farm.select("SELECT id FROM jobs WHERE id > :first ORDER BY id", first=first)]


def put_letter(farm: Farm, state: str, at: datetime, *, job_id: int | None = None) -> None:
    """File a dead letter at that moment."""
    farm.change(
        "INSERT INTO dead_letters (at, state, task, args, kwargs, job_id, error_class, error)"
        " VALUES (:at, :state, 't', '[]', '{}', :job_id, 'E', 'e')",
        at=at,
        state=state,
        job_id=job_id,
    )


def put_finding(farm: Farm, at: datetime, *, job_id: int) -> None:
    """Note a finding about the first attempt of that job."""
    farm.change(
        "INSERT INTO findings"
        " (at, job_id, provider, dataset, rule, severity, rows, reason, sample, payload_key, answer)"
        " VALUES (:at, :job_id, 'binance', 'bars', 'r', 'warn', 1, 'reason', '', :key, 0)",
        at=at,
        job_id=job_id,
        key=payload_key(job_id, 1),
    )


def put_fetch(farm: Farm, at: datetime, *, job_id: int, body: bytes | None = None) -> str | None:
    """Log a fetch of that job at that moment; with a body, archive it and return its segment."""
    key = payload_key(job_id, 1)
    place = None if body is None else farm.context.payloads.put(key, body, at, in_flight=False)
    farm.context.payloads.close()
    farm.context.make_room("fetch_log", at, at)
    farm.change(
        "INSERT INTO fetch_log (at, job_id, attempt, provider, dataset, lane, requests, weight, failed, duration_ms,"
        " outcome, payload_key, segment, position, size_bytes)"
        " VALUES (:at, :job_id, 1, 'binance', 'bars', 'live', 1, 1, 0, 9, 'fetched', :key, :segment, :position, :size)",
        at=at,
        job_id=job_id,
        key=key,
        segment=place.segment if place else None,
        position=place.position if place else None,
        size=place.size_bytes if place else 0,
    )
    return place.segment if place else None
