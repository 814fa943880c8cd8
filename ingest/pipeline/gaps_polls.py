"""Days that are settled without a job: quotes and books, which can't be asked back, and values that were answered.

Deliberately not here: what can be asked for (gaps_grid, gaps_trades). Invariant: a poll that was missed is never
made up for; its day is unavailable, and says how many there were.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

#: A poll owed before midnight may be done after it; none takes longer than an hour.
_AFTER = timedelta(hours=1)
#: The farm was down, or the entry paused, where two polls lie further apart than this many usual pauses, and than that.
_PAUSES, _LEAST = 10, timedelta(minutes=5)
#: The polls owed on each day that is still open, read from the jobs once a day: then its days are settled.
_POLLS = text("""
    WITH open_days AS MATERIALIZED (
        SELECT ledger.series_id, day, provider, dataset, coalesce(since, created_at) AS since
        FROM ledger JOIN series ON series.id = series_id
        WHERE state IN ('planned', 'fetched') AND dataset IN ('quotes', 'books') AND followed AND day < :today
    ),
    each AS (
        SELECT task, kwargs->>'dataset' AS dataset, (due_at AT TIME ZONE 'UTC')::date AS day, state, due_at,
            due_at - lag(due_at) OVER (
                PARTITION BY task, kwargs->>'dataset', (due_at AT TIME ZONE 'UTC')::date ORDER BY due_at) AS pause
        FROM jobs WHERE entry IS NOT NULL AND parent_id IS NULL AND kwargs->>'dataset' IN ('quotes', 'books')
            AND due_at >= (SELECT min(day) FROM open_days) AND due_at < :today
            AND state IN ('done', 'expired', 'dead')
    ),
    polls AS (
        SELECT task, dataset, day, count(*) FILTER (WHERE state = 'done') AS done, count(*) AS owed,
            min(due_at) AS first, max(due_at) AS last, max(pause) AS longest,
            greatest(:pause * percentile_cont(0.5) WITHIN GROUP (ORDER BY pause), CAST(:least AS interval)) AS allowed
        FROM each GROUP BY 1, 2, 3
    ),
    judged AS (
        SELECT open_days.series_id, open_days.day, done, owed, allowed, greatest(longest,
            first - greatest(open_days.day::timestamp AT TIME ZONE 'UTC', open_days.since),
            (open_days.day + 1)::timestamp AT TIME ZONE 'UTC' - last) AS silence
        FROM open_days LEFT JOIN polls ON polls.task = 'tasks.fetch.' || open_days.provider
            AND polls.dataset = open_days.dataset AND polls.day = open_days.day
    )
    UPDATE ledger SET updated_at = :now,
        state = CASE WHEN done = owed AND stored > 0 AND silence <= allowed THEN 'verified' ELSE 'unavailable' END,
        note = CASE WHEN owed IS NULL THEN 'no polls were owed'
            WHEN done < owed THEN owed - done || ' of ' || owed || ' polls were missed'
            WHEN stored = 0 THEN owed || ' polls brought nothing'
            WHEN silence > allowed THEN 'nobody polled for ' || date_trunc('second', silence) END
    FROM judged WHERE ledger.series_id = judged.series_id AND ledger.day = judged.day
""")
#: Values come when they are released: a day is whole when an answer covered it and its values are stored.
_VALUES = text("""
    UPDATE ledger SET state = 'verified', updated_at = :now
    FROM series WHERE series.id = series_id AND dataset = 'observations' AND followed AND state = 'fetched'
        AND stored > 0 AND day < :today AND once @> tstzrange(
            day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC')
""")
#: Asked first, because jobs are not indexed by when they were due.
_ANY_OPEN = text("""
    SELECT EXISTS (SELECT FROM series JOIN ledger ON series_id = series.id AND day < :today
        AND state IN ('planned', 'fetched') WHERE followed AND dataset IN ('quotes', 'books'))
""")


def settle_without_jobs(session: Session, now: datetime) -> int:
    """Settle the days of quotes, books and observations that are over; return how many."""
    today = (now - _AFTER).astimezone(UTC).date()
    asked = {"today": today, "now": now, "pause": _PAUSES, "least": _LEAST}
    settled = session.connection().execute(_VALUES, asked).rowcount
    if session.scalar(_ANY_OPEN, asked):
        settled += session.connection().execute(_POLLS, asked).rowcount
    return settled
