"""Retention of the archive: segments of raw answers whose day is over, unless somebody may still ask for one.

Invariant: a segment goes only when no finding and no job that is not over refers to a payload in it; one that holds
what an unverified day was last written from is kept twice as long. The fetch log, which says where a payload lies,
keeps the rows that these refer to.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.pipeline.context import Context
from ingest.pipeline.retention_tally import Span, Tally

#: A day that nobody could verify in twice the time will not be: its raw answers must not fill the disk for ever.
UNVERIFIED_TIMES = 2
#: As many as a bucket deletes in one request.
_PAGE = 1000

#: From the few that refer to the many that are referred to: by the fetch log's index, never through all of it.
_HELD = text(
    "WITH kept AS MATERIALIZED (SELECT payload_key FROM findings UNION SELECT payload_key FROM jobs"
    " WHERE state IN ('due', 'leased', 'fetched') AND payload_key IS NOT NULL)"
    " SELECT DISTINCT segment FROM kept JOIN fetch_log USING (payload_key)"
    " WHERE fetch_log.at < :end AND segment IS NOT NULL"
)
#: The ledger has no index on its job: every store would pay for it. So all of it is read, twice a run: 2.4 s for two
#: million days beside half a million log lines (measured on two busy cores).
_UNVERIFIED = text(
    "SELECT DISTINCT segment FROM fetch_log WHERE segment IS NOT NULL AND at >= :oldest AND at < :end AND job_id IN"
    " (SELECT job_id FROM ledger WHERE state NOT IN ('verified', 'empty_confirmed')"
    # A day is as new as the request that wrote it, which was sent shortly before it was logged.
    " AND updated_at >= CAST(:oldest AS timestamptz) - interval '1 day' AND updated_at < :end)"
)

log = structlog.get_logger(__name__)


def delete_segments(context: Context, span: Span) -> Tally:
    """Delete the segments of UTC days that ended before `span.cutoff`, and the folders that become empty.

    Of this machine's archive: where workers on several machines keep folders of their own, each needs its own run.
    """
    tally = Tally("archive", span.keep_days)
    try:
        _delete(context, span, tally)
    except OSError as error:  # the other steps have work all the same
        tally.is_complete = False
        log.warning("archive_not_cleaned", error=str(error))
    return tally


def _delete(context: Context, span: Span, tally: Tally) -> None:
    first_kept = span.cutoff.astimezone(UTC).date()
    segments = context.archive.segments(first_kept)
    page = list(islice(segments, _PAGE))
    if not page:
        return
    held = _held(context, span, datetime(first_kept.year, first_kept.month, first_kept.day, tzinfo=UTC))
    while page:
        if span.is_over:
            tally.is_complete = False
            return
        going = [one for one in page if one.name not in held]
        if not span.dry_run:
            context.archive.delete([one.name for one in going])
        tally.held += len(page) - len(going)
        tally.segments += len(going)
        tally.size_bytes += sum(one.size_bytes for one in going)
        page = list(islice(segments, _PAGE))


def unverified_segments(session: Session, keep_days: int, *, now: datetime, end: datetime) -> list[str]:
    """Return the segments logged before `end` whose payloads unverified days were last written from, while kept.

    `keep_days` is the archive's; kept for ever (0), none has to be held back.
    """
    oldest = now - timedelta(days=UNVERIFIED_TIMES * keep_days)
    return list(session.scalars(_UNVERIFIED, {"oldest": oldest, "end": end})) if keep_days else []


def _held(context: Context, span: Span, first_kept: datetime) -> set[str]:
    # A payload archived right before midnight was logged after it.
    end = first_kept + timedelta(days=1)
    now = span.cutoff + timedelta(days=span.keep_days)
    with context.sessions() as session:
        held = set(session.scalars(_HELD, {"end": end}))
        return held.union(unverified_segments(session, span.keep_days, now=now, end=end))
