"""Retention of what is remembered of providers: quota that no window reaches back to, holds and orders that are over.

Deliberately not here: the history of events, which goes in the order of its ids (retention_order). Invariant: what may
still count against a limit, still holds a provider, or is still to be brought, stays. One statement a table: they are
small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import text

from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.retention_tally import Span, Tally

#: Days. The longest window of a provider is a month; a hold that is over tells no more than its event does.
KEPT_DAYS: Final[Mapping[str, int]] = {"quota_use": 40, "provider_holds": 30, "backfills": 90}
_GOES: Final[Mapping[str, str]] = {
    "quota_use": "hour < :cutoff",
    "provider_holds": "until < :cutoff",
    # Their links go with them.
    "backfills": "created_at < :cutoff AND NOT EXISTS (SELECT FROM backfill_jobs JOIN jobs ON jobs.id = job_id"
    " WHERE backfill_id = backfills.id AND state IN ('due', 'leased', 'fetched'))",
}


def delete_old(context: Context, table: str, span: Span) -> Tally:
    """Delete what is old of one of these tables; return how much that was."""
    tally = Tally(table, span.keep_days)
    if span.is_over:
        tally.is_complete = False
        return tally
    among = f"FROM {table} WHERE {_GOES[table]}"
    query = f"SELECT count(*) {among}"
    if not span.dry_run:
        query = f"WITH gone AS (DELETE {among} RETURNING 1) SELECT count(*) FROM gone"
    with context.sessions.begin() as session:
        jobs.relax_commit(session)
        tally.rows = session.execute(text(query), {"cutoff": span.cutoff}).scalar_one()
    return tally
