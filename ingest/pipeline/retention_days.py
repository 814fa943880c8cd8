"""Retention of data: the rows of old series-days, and partitions that hold nothing else.

Invariant: rows go only where the ledger says of their series and day that it is verified (or confirmed to be empty),
in the transaction that takes them off the ledger's count. Lock order is the write path's: rows, then the ledger.
"""

from __future__ import annotations

from datetime import UTC, date, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.market.times import midnight
from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.retention_partitions import Partition, drop_each, old_partitions, shut
from ingest.pipeline.retention_tally import Span, Tally
from models.upsert import row_hash

#: A busy pair's day has millions of trades: this many rows go a transaction, 25 ms the longest (measured).
SLICE_ROWS = 10_000
_PAGE_DAYS = 500

_MAY_GO = "state IN ('verified', 'empty_confirmed')"
#: Series-days of a dataset that hold rows, `[:first, :end)`.
_DAYS = (
    "FROM ledger JOIN series ON series.id = ledger.series_id"
    " WHERE series.dataset = :dataset AND day >= :first AND day < :end AND stored > 0"
)
_ANY_LEFT = text(f"SELECT EXISTS (SELECT {_DAYS})")
_ANY_HELD = text(f"SELECT EXISTS (SELECT {_DAYS} AND NOT {_MAY_GO})")
_COUNT_HELD = text(f"SELECT count(*), coalesce(sum(stored), 0) {_DAYS} AND NOT {_MAY_GO}")
_COUNT_GOING = text(f"SELECT count(*), coalesce(sum(stored), 0) {_DAYS} AND {_MAY_GO}")
_NEXT_DAYS = text(
    f"SELECT day, series_id {_DAYS} AND {_MAY_GO} AND (day, series_id) > (:after_day, :after_series)"
    f" ORDER BY day, series_id LIMIT {_PAGE_DAYS}"
)
_TAKE_OFF_ALL = text(
    f"WITH going AS (SELECT series_id, day, stored {_DAYS} AND {_MAY_GO} ORDER BY series_id, day FOR UPDATE OF ledger),"
    " gone AS (UPDATE ledger SET deleted = deleted + ledger.stored, stored = 0, final = 0, hash = 0, deleted_at = now()"
    " FROM going WHERE ledger.series_id = going.series_id AND ledger.day = going.day RETURNING going.stored)"
    " SELECT count(*), coalesce(sum(stored), 0) FROM gone"
)
_TAKE_OFF = text(
    "UPDATE ledger SET stored = stored - :rows, final = final - :final, hash = hash # :hash,"
    " deleted = deleted + :rows, deleted_at = now()"
    f" WHERE series_id = :series AND day = :day AND {_MAY_GO} RETURNING stored"
)
_ALL_DAYS = date.min


def delete_days(context: Context, dataset: str, span: Span) -> Tally:
    """Delete what the dataset holds of UTC days that ended before `span.cutoff`, as far as it is verified."""
    tally = Tally(dataset, span.keep_days)
    midnight = span.cutoff.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    old = {"dataset": dataset, "first": _ALL_DAYS, "end": midnight.date()}
    with context.sessions() as session:
        partitions = old_partitions(session, dataset, midnight)
        if span.dry_run:
            tally.partitions = sum(_is_free(session, dataset, one) for one in partitions)
            tally.days, tally.rows = session.execute(_COUNT_GOING, old).one()
    if not span.dry_run and drop_each(partitions, tally, span, partial(_drop, context, dataset)):
        _delete_rows(context, dataset, old, tally, span)
    with context.sessions() as session:
        tally.held, tally.held_rows = session.execute(_COUNT_HELD, old).one()
    return tally


def _drop(context: Context, dataset: str, partition: Partition) -> tuple[int, int] | None:
    """Drop a partition and take its rows off the ledger; return how many days and rows, None if anything must stay."""
    name, start, end = partition
    bounds = {"dataset": dataset, "first": start.date(), "end": end.date()}
    with context.sessions() as session:
        if not _is_free(session, dataset, partition):
            return None
        days, rows = session.execute(_TAKE_OFF_ALL, bounds).one()
        shut(session, dataset)
        has_more = session.scalar(_ANY_LEFT, bounds) if rows else not _is_empty(session, name)
        if has_more:
            session.rollback()
            return None
        session.execute(text(f"DROP TABLE {name}"))
        session.commit()
    return days, rows


def _is_free(session: Session, dataset: str, partition: Partition) -> bool:
    """Say whether nothing in a partition must stay: it is empty, or all its series-days are verified."""
    name, start, end = partition
    bounds = {"dataset": dataset, "first": start.date(), "end": end.date()}
    if not session.scalar(_ANY_LEFT, bounds):
        return _is_empty(session, name)
    return not session.scalar(_ANY_HELD, bounds)


def _is_empty(session: Session, partition: str) -> bool:
    """Say whether it holds no row. Through the index: what is left of deleted rows there is little."""
    return session.execute(text(f"SELECT series_id FROM {partition} ORDER BY series_id LIMIT 1")).first() is None


def _delete_rows(context: Context, dataset: str, old: dict[str, Any], tally: Tally, span: Span) -> None:
    """Delete series-day by series-day, oldest first: partitions that hold younger or unverified days too."""
    after = {"after_day": _ALL_DAYS, "after_series": 0}
    while True:
        with context.sessions() as session:
            days = session.execute(_NEXT_DAYS, old | after).all()
        if not days:
            return
        for day, series_id in days:
            if not _delete_day(context, dataset, series_id, day, tally, span):
                tally.is_complete = False
                return
        after = {"after_day": days[-1].day, "after_series": days[-1].series_id}


def _delete_day(context: Context, dataset: str, series_id: int, day: date, tally: Tally, span: Span) -> bool:
    """Delete a series' day, slice by slice; return False when the time is up before its end."""
    start = midnight(day)
    bounds = {"series": series_id, "from": start, "end": start + timedelta(days=1), "rows": SLICE_ROWS}
    is_final = "is_final" if dataset == "bars" else "true"
    among = f"FROM {dataset} WHERE series_id = :series AND ts >= :from AND ts < :end"
    # The last moment goes whole: trades may share it.
    last = f"(SELECT max(ts) FROM (SELECT ts {among} ORDER BY ts LIMIT :rows) AS slice)"
    delete = text(
        f"WITH gone AS (DELETE {among} AND ts <= {last} RETURNING ts, {is_final} AS final,"
        f" {row_hash(dataset, dataset)} AS hash) SELECT count(*) AS rows, count(*) FILTER (WHERE final) AS final,"
        " max(ts) AS last, coalesce(bit_xor(hash), 0) AS hash FROM gone"
    )
    while not span.is_over:
        with context.sessions() as session:
            jobs.relax_commit(session)
            gone = session.execute(delete, bounds).one()
            off = {"series": series_id, "day": day, "rows": gone.rows, "final": gone.final, "hash": gone.hash}
            left = session.scalar(_TAKE_OFF, off) if gone.rows else None
            if left is None:  # nothing was there, or the day has become unverified since we asked
                session.rollback()
                return True
            session.commit()
        tally.rows += gone.rows
        bounds["from"] = gone.last
        if left <= 0:
            tally.days += 1
            return True
    return False
