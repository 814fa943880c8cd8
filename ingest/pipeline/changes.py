"""Whether anything has changed, by topic, for whoever shows it: a mark a topic, and another mark after a change.

Deliberately not here: what has changed, and who is told (dashboard/live.py). Invariant: a mark never reads a table
whole, however large it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Literal, get_args

from sqlalchemy import text

from ingest.pipeline.context import Context
from ingest.pipeline.workers import live_workers
from models import IN_FLIGHT

Topic = Literal["data", "findings", "providers", "queues", "workers", "backfills", "schedule", "dead", "audit"]
TOPICS: Final[tuple[Topic, ...]] = get_args(Topic)
#: Every fetch writes a row of the log as it ends, small ones in the transaction that stores; of others the job is in
#: flight until its rows are there.
_FETCHED = "SELECT max(id)::text FROM fetch_log WHERE at > now() - interval '1 day'"
_IN_FLIGHT = f"""SELECT concat_ws(' ', count(*), sum(id), sum(attempt), count(started_at), count(fetched_at))
    FROM jobs WHERE state IN {IN_FLIGHT}"""
_OWED = "SELECT max(id)::text FROM jobs"


def _written(table: str) -> str:
    """Return PostgreSQL's own count of a table's writes, which may be ten seconds behind."""
    counts = " + ".join(
        f"pg_stat_get_tuples_{what}('{table}'::regclass)" for what in ("inserted", "updated", "deleted")
    )
    return f"SELECT ({counts})::text"


_HELD = "SELECT concat_ws(' ', count(*), max(since), max(until)) FROM provider_holds"
_MARKS: Mapping[Topic, tuple[str, ...]] = {
    "data": (_FETCHED, _IN_FLIGHT, _written("ledger"), _written("series")),
    "findings": ("SELECT max(id)::text FROM findings", _written("findings")),
    "providers": (_FETCHED, "SELECT max(id)::text FROM provider_events", _HELD),
    "queues": (_FETCHED, _IN_FLIGHT, _OWED),
    "workers": (),
    "backfills": ("SELECT concat_ws(' ', count(*), max(id), max(cancelled_at)) FROM backfills", _FETCHED, _IN_FLIGHT),
    "schedule": (
        "SELECT concat_ws(' ', count(*), max(changed_at), max(last_slot)) FROM schedule",
        "SELECT concat_ws(' ', max(id), count(*) FILTER (WHERE outcome IS NULL)) FROM schedule_runs"
        " WHERE outcome IS NULL OR id = (SELECT max(id) FROM schedule_runs)",
    ),
    "dead": ("SELECT concat_ws(' ', count(*), sum(id)) FROM dead_letters WHERE state = 'open'",),
    "audit": ("SELECT max(id)::text FROM audit",),
}


def marks(context: Context, topics: Collection[Topic]) -> dict[Topic, tuple[str, ...]]:
    """Return the mark of each of these topics: one query, and for workers one question to Redis."""
    wanted = [topic for topic in TOPICS if topic in topics]
    queries = list(dict.fromkeys(query for topic in wanted for query in _MARKS[topic]))
    found: dict[str, str] = {}
    if queries:
        with context.sessions() as session:
            row = session.execute(text(f"SELECT {', '.join(f'({query})' for query in queries)}")).one()
        found = {query: str(value) for query, value in zip(queries, row, strict=True)}
    marked = {topic: tuple(found[query] for query in _MARKS[topic]) for topic in wanted}
    if "workers" in marked:
        marked["workers"] = tuple(str(worker) for worker in live_workers(context.redis))
    return marked
