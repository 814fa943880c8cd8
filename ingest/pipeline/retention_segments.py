"""Retention of the archive: files of raw answers whose day is over, unless somebody may still ask for one.

Invariant: a segment goes only when no finding and no job that is not over refers to a payload in it. The fetch log,
which says where a payload lies, keeps the rows that these refer to.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog
from sqlalchemy import text

from ingest.pipeline.context import Context
from ingest.pipeline.retention_tally import Span, Tally

#: From the few that refer to the many that are referred to: by the fetch log's index, never through all of it.
_HELD = text(
    "WITH kept AS MATERIALIZED (SELECT payload_key FROM findings UNION SELECT payload_key FROM jobs"
    " WHERE state IN ('due', 'leased', 'fetched') AND payload_key IS NOT NULL)"
    " SELECT DISTINCT segment FROM kept JOIN fetch_log USING (payload_key)"
    " WHERE fetch_log.at < :end AND segment IS NOT NULL"
)

log = structlog.get_logger(__name__)


def delete_segments(context: Context, span: Span) -> Tally:
    """Delete the segments of UTC days that ended before `span.cutoff`, and the folders that become empty.

    Of this machine's archive: where workers on several machines keep archives of their own, each needs its own run.
    """
    tally = Tally("archive", span.keep_days)
    first_kept = span.cutoff.astimezone(UTC).date()
    folders = list(_old_folders(context.settings.archive_dir, first_kept))
    if not folders:
        return tally
    with context.sessions() as session:
        end = datetime(first_kept.year, first_kept.month, first_kept.day, tzinfo=UTC) + timedelta(days=1)
        held = set(session.scalars(_HELD, {"end": end}))
    for folder in folders:
        for segment in sorted(folder.glob("*.seg")):
            if span.is_over:
                tally.is_complete = False
                return tally
            if f"{folder.name}/{segment.name}" in held:
                tally.held += 1
                continue
            tally.size_bytes += _delete(segment, dry_run=span.dry_run)
            tally.segments += 1
        if not span.dry_run and not any(folder.iterdir()):
            folder.rmdir()
    return tally


def _delete(segment: Path, *, dry_run: bool) -> int:
    """Delete a segment and return its size."""
    size_bytes = segment.stat().st_size
    if not dry_run:
        segment.unlink()
    return size_bytes


def _old_folders(archive: Path, first_kept: date) -> Iterator[Path]:
    """Yield the folders of the days before that one, oldest first; what is not named like a day is not ours."""
    for folder in sorted(archive.iterdir()) if archive.is_dir() else ():
        try:
            day = date.fromisoformat(folder.name)
        except ValueError:
            continue
        if day < first_kept and folder.is_dir():
            yield folder
