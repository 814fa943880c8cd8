"""Retention of the fetch log: days that are over go whole, by dropping their partition.

Invariant: a row stays while a finding or a job that is not over refers to it (it says where in the archive a payload
lies), and while its segment is kept for a day that nobody has verified. Only then are the others deleted one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.retention_order import PAGE_ROWS
from ingest.pipeline.retention_partitions import Partition, drop_each, old_partitions, shut
from ingest.pipeline.retention_segments import unverified_segments
from ingest.pipeline.retention_tally import Span, Tally

_OPEN = "state IN ('due', 'leased', 'fetched')"
#: Three questions, since each ends at its first row; none of them looks at rows one by one.
_ANY_STAYS = (
    "SELECT EXISTS (SELECT FROM {name} WHERE segment = ANY(CAST(:held AS text[])))"
    " OR EXISTS (SELECT FROM {name} JOIN findings USING (payload_key))"
    f" OR EXISTS (SELECT FROM {{name}} AS log JOIN jobs ON jobs.id = log.job_id WHERE jobs.{_OPEN})"
)
_GOES = (
    "(segment IS NULL OR segment <> ALL(CAST(:held AS text[])))"
    " AND NOT EXISTS (SELECT FROM findings WHERE findings.payload_key = log.payload_key)"
    f" AND NOT EXISTS (SELECT FROM jobs WHERE jobs.id = log.job_id AND jobs.{_OPEN})"
)


def delete_log(context: Context, span: Span) -> Tally:
    """Delete the log of UTC days that ended before `span.cutoff`."""
    tally = Tally("fetch_log", span.keep_days)
    midnight = span.cutoff.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with context.sessions() as session:
        old = old_partitions(session, "fetch_log", midnight)
        if not old:
            return tally
        now = span.cutoff + timedelta(days=span.keep_days)
        held = unverified_segments(session, context.settings.tickfarm_keep_archive_days, now=now, end=midnight)
        if span.dry_run:
            _count(session, old, held, tally)
            return tally
    left: list[str] = []
    if drop_each(old, tally, span, partial(_drop, context, held, left)):
        for name in left:
            _delete_rows(context, name, held, tally, span)
    return tally


def _count(session: Session, old: Sequence[Partition], held: Sequence[str], tally: Tally) -> None:
    for name, _, _ in old:
        rows, going = session.execute(
            text(f"SELECT count(*), count(*) FILTER (WHERE {_GOES}) FROM {name} AS log"), {"held": list(held)}
        ).one()
        tally.rows += going
        tally.partitions += rows == going


def _drop(context: Context, held: Sequence[str], left: list[str], partition: Partition) -> tuple[int, int] | None:
    """Drop a partition in which nothing must stay; note the others in `left`. Nobody writes into a day that is over."""
    name, _, _ = partition
    with context.sessions() as session:
        newest = session.scalar(text("SELECT coalesce(max(id), 0) FROM findings"))
        if session.scalar(text(_ANY_STAYS.format(name=name)), {"held": list(held)}):
            left.append(name)
            return None
        rows = int(session.scalar(text(f"SELECT count(*) FROM {name}")) or 0)
        shut(session, "fetch_log")
        # A quick look, since everybody waits: what was found since we looked.
        found = f"SELECT EXISTS (SELECT FROM findings JOIN {name} USING (payload_key) WHERE findings.id > :newest)"
        if session.scalar(text(found), {"newest": newest}):
            left.append(name)
            return None
        session.execute(text(f"DROP TABLE {name}"))
        session.commit()
    return 0, rows


def _delete_rows(context: Context, name: str, held: Sequence[str], tally: Tally, span: Span) -> None:
    """Delete the partition's other rows, a page a transaction."""
    page: dict[str, Any] = {"held": list(held), "after": 0, "rows": PAGE_ROWS}
    delete = text(
        f"WITH going AS (SELECT id FROM {name} AS log WHERE id > :after AND {_GOES} ORDER BY id LIMIT :rows),"
        f" gone AS (DELETE FROM {name} WHERE id IN (SELECT id FROM going) RETURNING id)"
        " SELECT count(*) AS rows, max(id) AS last FROM gone"
    )
    gone = PAGE_ROWS
    while gone == PAGE_ROWS:
        if span.is_over:
            tally.is_complete = False
            return
        with context.sessions.begin() as session:
            jobs.relax_commit(session)
            gone, last = session.execute(delete, page).one()
        tally.rows += gone
        page["after"] = last
