"""Retention of the tables whose ids grow with time: jobs, findings, revisions, dead letters, events, schedule runs.

They are walked in the order of their primary key, a page a transaction, up to the first page on which nothing is old.
No index on age is needed: it would cost every job an insert more, and deletes no faster (docs/operations.md has the
figures). Jobs can't be partitioned by time either: their key must be unique over all of them.
Invariant: a row that is not over, or that something kept refers to, stays however old it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text

from ingest.pipeline import jobs
from ingest.pipeline.context import Context
from ingest.pipeline.retention_tally import Span, Tally
from ingest.pipeline.runs import KEPT_RUNS

#: 10 ms a transaction, 45 ms the longest (measured). Pages of 20,000 are a seventh faster and hold locks for longer.
PAGE_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class _Rule:
    """`made` grows with the id, give or take; `goes` says of a row, at `:cutoff`, whether it may go."""

    made: str
    goes: str


_RULES: Mapping[str, _Rule] = {
    "findings": _Rule("at", "at < :cutoff"),
    "dead_letters": _Rule("at", "state <> 'open' AND at < :cutoff"),
    # A provider's newest change of health says what it is now, however long it has been that.
    "provider_events": _Rule(
        "at",
        "at < :cutoff AND (kind <> 'health' OR EXISTS (SELECT FROM provider_events AS newer WHERE newer.kind = 'health'"
        " AND newer.provider = provider_events.provider AND newer.id > provider_events.id))",
    ),
    "revisions": _Rule("superseded_at", "superseded_at < :cutoff"),
    # A dead job is what `tickfarm dead requeue` revives; an open run's jobs are still to be added up.
    "jobs": _Rule(
        "created_at",
        "state IN ('done', 'expired', 'cancelled', 'dead') AND finished_at < :cutoff"
        " AND NOT (state = 'dead' AND EXISTS"
        " (SELECT FROM dead_letters WHERE dead_letters.job_id = jobs.id AND dead_letters.state = 'open'))"
        " AND NOT EXISTS (SELECT FROM schedule_runs WHERE schedule_runs.id = jobs.run_id AND outcome IS NULL)",
    ),
}


def delete_in_order(context: Context, table: str, span: Span) -> Tally:
    """Delete what is old, page by page; return how much that was. Where nothing is old it reads one page."""
    rule, tally, after = _RULES[table], Tally(table, span.keep_days), 0
    newest = text(
        f"SELECT max(id), min(made) FROM (SELECT id, {rule.made} AS made FROM {table}"
        " WHERE id > :after ORDER BY id LIMIT :rows) AS page"
    )
    condition = f"FROM {table} WHERE id > :after AND id <= :last AND {rule.goes}"
    while True:
        if span.is_over:
            tally.is_complete = False
            return tally
        with context.sessions.begin() as session:
            jobs.relax_commit(session)
            last, oldest = session.execute(newest, {"after": after, "rows": PAGE_ROWS}).one()
            if last is None or oldest >= span.cutoff:
                return tally
            page = {"after": after, "last": last, "cutoff": span.cutoff}
            if span.dry_run:
                tally.rows += session.execute(text(f"SELECT count(*) {condition}"), page).scalar_one()
            else:
                gone = session.execute(
                    text(f"WITH gone AS (DELETE {condition} RETURNING 1) SELECT count(*) FROM gone"), page
                )
                tally.rows += gone.scalar_one()
        after = last


def delete_runs(context: Context, span: Span) -> Tally:
    """Delete each entry's runs but the newest `KEPT_RUNS`; those still at work stay."""
    tally = Tally("schedule_runs", span.keep_days)
    with context.sessions() as session:
        entries = session.scalars(text("SELECT DISTINCT entry FROM schedule_runs ORDER BY entry")).all()
    older = (
        "SELECT id FROM schedule_runs WHERE entry = :entry AND outcome IS NOT NULL AND slot <"
        " (SELECT slot FROM schedule_runs WHERE entry = :entry ORDER BY slot DESC OFFSET :kept - 1 LIMIT 1)"
    )
    count = text(f"SELECT count(*) FROM ({older}) AS older")
    delete = text(
        f"WITH gone AS (DELETE FROM schedule_runs WHERE id IN ({older} LIMIT :rows) RETURNING 1)"
        " SELECT count(*) FROM gone"
    )
    for entry in entries:
        rows = PAGE_ROWS
        while rows == PAGE_ROWS:
            if span.is_over:
                tally.is_complete = False
                return tally
            with context.sessions.begin() as session:
                jobs.relax_commit(session)
                of_entry = {"entry": entry, "kept": KEPT_RUNS}
                if span.dry_run:
                    tally.rows += session.execute(count, of_entry).scalar_one()
                    break
                rows = session.execute(delete, of_entry | {"rows": PAGE_ROWS}).scalar_one()
                tally.rows += rows
    return tally
