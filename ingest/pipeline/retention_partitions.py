"""Retention of whole partitions: which are over, and how one goes without anybody waiting long for it.

Deliberately not here: what must stay (retention_days for data, retention_log for the fetch log).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog
from psycopg2.errors import LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ingest.pipeline.retention_tally import Span, Tally
from models.partitions import partition_named

#: Dropping a partition shuts its table for a moment; while we wait for that, everybody else waits behind us.
LOCK_TIMEOUT_S = 1

#: name, start, end (half-open)
Partition = tuple[str, datetime, datetime]

log = structlog.get_logger(__name__)


def old_partitions(session: Session, table: str, before: datetime) -> list[Partition]:
    """Return the table's partitions that ended by then, oldest first; what somebody made by hand is theirs to drop."""
    names = session.scalars(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:table AS regclass)"),
        {"table": table},
    )
    ours = (partition_named(table, name) for name in names)
    return sorted((one for one in ours if one is not None and one[2] <= before), key=lambda one: one[1])


def drop_each(
    partitions: Iterable[Partition], tally: Tally, span: Span, drop: Callable[[Partition], tuple[int, int] | None]
) -> bool:
    """Drop them; return False when there was no time or no lock for it.

    `drop` returns how many series-days and rows went with a partition, None where something in it must stay.
    """
    for one in partitions:
        if span.is_over:
            tally.is_complete = False
            return False
        try:
            dropped = drop(one)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            log.info("partition_not_dropped", partition=one[0], reason=f"no lock within {LOCK_TIMEOUT_S} s")
            tally.is_complete = False
            return False
        if dropped is not None:
            tally.partitions += 1
            tally.days += dropped[0]
            tally.rows += dropped[1]
            log.info("partition_dropped", partition=one[0], rows=dropped[1])
    return True


def shut(session: Session, table: str) -> None:
    """Shut the table until the transaction ends: who was writing has committed, and nobody else begins.

    A drop needs this lock anyway, and so would DETACH before it; a crash between those two would leave a table in the
    way of the partition's name.
    """
    session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
    session.execute(text(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"))
