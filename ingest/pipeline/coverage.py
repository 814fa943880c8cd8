"""Coverage: of each followed series, how much of what must be there is proven to be. Reads the ledger, never the rows.

Deliberately not here: what is done about the rest (gaps), and whether the tables still hold what the ledger says
(scrub). Invariant: what is not proven is not counted: of a day that is suspect nothing is, and of today what settled
before now.

Bars are counted in rows; of other datasets nobody knows how many there must be, so their days are. News, posts and
actions come when something happens: they are shown, and nothing is unproven of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import expected_by_day
from ingest.market.intervals import seconds_of
from ingest.pipeline.status import series_status
from ingest.providers.contract import calendar_of

#: Of what nobody can say that it must be there.
BEST_EFFORT = ("news", "posts", "actions")
#: The newest bars are not missed before the poll that makes them final had its time: this many intervals, at most so
#: long.
_GRACE_INTERVALS, _MOST_GRACE = 2, timedelta(minutes=15)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class SeriesCoverage:
    """A series' proof. `expected` and `proven` are rows of bars, days of other datasets; `gap_days` are unproven ones.

    `suspect_days` and `unavailable_days` are among those. `newest` and `age_s` are status', and `is_late` says that
    the newest row is older, in its market's own hours, than the series' pace allows.
    """

    provider: str
    dataset: str
    instrument: str
    interval: str
    first: date | None
    days: int
    expected: int
    proven: int
    gap_days: int
    suspect_days: int
    unavailable_days: int
    newest: datetime | None
    age_s: float | None
    is_late: bool

    @property
    def percent(self) -> float:
        """Return the proven share, 100 where nothing is expected; never 100 while anything is missing."""
        if self.proven >= self.expected:
            return 100.0
        return min(100.0 * self.proven / self.expected, 99.99)

    @property
    def is_proven(self) -> bool:
        """Say whether nothing is missing or in doubt."""
        return self.dataset in BEST_EFFORT or (self.gap_days == 0 and self.days > 0)


#: A day's owed and proven numbers: rows where the calendar knows how many, the day itself elsewhere. Days of today are
#: counted apart.
_DAYS = text("""
    SELECT series.id, min(day) AS first, count(*) AS days,
        sum(CASE WHEN dataset = 'bars' THEN coalesce(expected, stored) ELSE 1 END) AS expected,
        sum(CASE WHEN state IN ('verified', 'empty_confirmed')
                THEN CASE WHEN dataset = 'bars' THEN coalesce(expected, stored) ELSE 1 END
            WHEN state IN ('suspect', 'unavailable', 'retired') OR dataset <> 'bars' THEN 0
            ELSE least(final + confirmed, coalesce(expected, stored)) END) AS proven,
        count(*) FILTER (WHERE state NOT IN ('verified', 'empty_confirmed')) AS gap_days,
        count(*) FILTER (WHERE state = 'suspect') AS suspect_days,
        count(*) FILTER (WHERE state IN ('unavailable', 'retired')) AS unavailable_days
    FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE followed AND day >= :first AND day < :today
    GROUP BY series.id
""")
_TODAY = text("""
    SELECT series_id, final, confirmed, state FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE followed AND dataset = 'bars' AND day = :today
""")
_SERIES = text("SELECT id, provider, dataset, instrument, interval FROM series WHERE followed")


def coverage(session: Session, now: datetime, *, last: timedelta | None = None) -> list[SeriesCoverage]:
    """Return the coverage of every followed series, as `series_status` orders them; of the `last` days only where said.

    Cost: one pass over the ledger's days of that time, and one index look-up a series for its newest row.
    """
    today = now.astimezone(UTC).date()
    first = date.min if last is None else (now.astimezone(UTC) - last).date()
    closed = {row.id: row for row in session.execute(_DAYS, {"first": first, "today": today})}
    begun = {row.series_id: row for row in session.execute(_TODAY, {"today": today})}
    ids = {(row.provider, row.dataset, row.instrument, row.interval): row.id for row in session.execute(_SERIES)}
    found = []
    for one in series_status(session, now):
        key = (one.provider, one.dataset, one.instrument, one.interval)
        days, of_today = closed.get(ids.get(key)), begun.get(ids.get(key))
        added = (0, 0, 0, 0) if of_today is None else _today(one.provider, one.instrument, one.interval, of_today, now)
        found.append(
            SeriesCoverage(
                *key,
                first=days.first if days else None,
                days=added[0] + (days.days if days else 0),
                expected=added[1] + (int(days.expected) if days else 0),
                proven=added[2] + (int(days.proven) if days else 0),
                gap_days=added[3] + (days.gap_days if days else 0),
                suspect_days=days.suspect_days if days else 0,
                unavailable_days=days.unavailable_days if days else 0,
                newest=one.newest,
                age_s=one.age_s,
                is_late=one.state == "late",
            )
        )
    return found


def _today(provider: str, instrument: str, interval: str, row: Any, now: datetime) -> tuple[int, int, int, int]:
    """Return what today adds: a day, what should be final by now, what is, and whether anything is missing."""
    facts = providers.get(provider).facts
    width = timedelta(seconds=seconds_of(interval))
    until = now - timedelta(seconds=facts.settle_s) - width - min(_GRACE_INTERVALS * width, _MOST_GRACE)
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    if until <= midnight:
        return 0, 0, 0, 0
    expected = sum(count for _, count in expected_by_day(calendar_of(facts, instrument), interval, midnight, until))
    proven = 0 if row.state == "suspect" else min(row.final + row.confirmed, expected)
    return 1, expected, proven, int(proven < expected)
