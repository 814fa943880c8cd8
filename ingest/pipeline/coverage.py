"""Coverage: of each followed series, how much of what must be there is proven to be. Reads the ledger, never the rows.

Deliberately not here: what is done about the rest (gaps), whether the tables still hold what the ledger says (scrub),
and how the ledger is summed up by month (models/ledger_months). Invariant: what is not proven is not counted: of a day
that is suspect nothing is, and of today what settled before now.

Bars are counted in rows; of other datasets nobody knows how many there must be, so their days are. News, posts and
actions come when something happens: they are shown, and nothing is unproven of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import expected_count
from ingest.market.intervals import seconds_of
from ingest.market.times import midnight
from ingest.pipeline.gaps_days import DOUBTED
from ingest.pipeline.gaps_owed import plan_days
from ingest.pipeline.status import Followed, followed_series, is_late
from ingest.providers.contract import calendar_of
from ingest.settings import Settings
from models.ledger_months import PARTS, parts_of

#: Of what nobody can say that it must be there.
BEST_EFFORT = ("news", "posts", "actions")
#: The newest bars are not missed before the poll that makes them final had its time: this many intervals, at most so
#: long.
_GRACE_INTERVALS, _MOST_GRACE = 2, timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class SeriesCoverage:
    """A series' proof. `expected` and `proven` are rows of bars, days of other datasets; `gap_days` are unproven ones.

    `suspect_days`, `imported_days` and `unavailable_days` are among those. `age_s` is the newest row's age.
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
    imported_days: int
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


#: Owed and proven numbers: rows where the calendar knows how many, the days themselves elsewhere. Days of today are
#: counted apart.
_CLOSED = text(f"""
    WITH {PARTS}
    SELECT series.id, sum(days) AS days,
        CASE WHEN followed THEN
            (SELECT min(day) FROM ledger WHERE series_id = series.id AND day >= :first AND day < :today)
        ELSE (SELECT min(day) FROM ledger WHERE series_id = series.id AND day >= :first AND day < :today
            AND state = 'imported') END AS first,
        sum(CASE WHEN dataset = 'bars' THEN expected ELSE days END) AS expected,
        sum(CASE WHEN state IN ('verified', 'empty_confirmed')
                THEN CASE WHEN dataset = 'bars' THEN expected ELSE days END
            WHEN state IN ('suspect', 'imported', 'unavailable', 'retired') OR dataset <> 'bars' THEN 0
            ELSE stored END) AS proven,
        coalesce(sum(days) FILTER (WHERE state NOT IN ('verified', 'empty_confirmed')), 0) AS gap_days,
        coalesce(sum(days) FILTER (WHERE state = 'suspect'), 0) AS suspect_days,
        coalesce(sum(days) FILTER (WHERE state = 'imported'), 0) AS imported_days,
        coalesce(sum(days) FILTER (WHERE state IN ('unavailable', 'retired')), 0) AS unavailable_days
    FROM parts JOIN series ON series.id = parts.series_id
    WHERE followed OR state = 'imported'
    GROUP BY series.id HAVING sum(days) > 0
""")
_TODAY = text("""
    SELECT series_id, final, confirmed, state FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE followed AND dataset = 'bars' AND day = :today
""")


def coverage(
    session: Session, config: Settings, now: datetime, *, last: timedelta | None = None
) -> list[SeriesCoverage]:
    """Return the coverage of each followed series, as `followed_series` orders them; of the `last` days where said.

    Series that nobody follows are among them with the days that hold imported rows.

    What came to be owed since the last check of gaps counts: it is planned in the session, which the caller rolls back.
    Cost: what has changed since the months were rolled last, the days of the newest one or two, a row a series and
    month of the others, and two index look-ups a series.
    """
    plan_days(session, config, now)
    today = now.astimezone(UTC).date()
    first = date.min if last is None else (now.astimezone(UTC) - last).date()
    closed = {row.id: row for row in session.execute(_CLOSED, parts_of(first, today))}
    begun = {row.series_id: row for row in session.execute(_TODAY, {"today": today})}
    return [
        _of(series, closed.get(series.id), begun.get(series.id), now)
        for series in followed_series(session, also=closed)
    ]


def _of(series: Followed, closed: Row[Any] | None, begun: Row[Any] | None, now: datetime) -> SeriesCoverage:
    """Return the coverage of a series from its days that are over and the one that has begun."""
    days, expected, proven, gap_days = (0, 0, 0, 0) if begun is None else _today(series, begun, now)
    if closed is not None:
        days, expected = days + int(closed.days), expected + int(closed.expected)
        proven, gap_days = proven + int(closed.proven), gap_days + int(closed.gap_days)
    return SeriesCoverage(
        series.provider,
        series.dataset,
        series.instrument,
        series.interval,
        first=closed.first if closed else None,
        days=days,
        expected=expected,
        proven=proven,
        gap_days=gap_days,
        suspect_days=int(closed.suspect_days) if closed else 0,
        imported_days=int(closed.imported_days) if closed else 0,
        unavailable_days=int(closed.unavailable_days) if closed else 0,
        newest=series.newest,
        age_s=None if series.newest is None else max((now - series.newest).total_seconds(), 0.0),
        is_late=series.followed and is_late(series, now),
    )


def _today(series: Followed, row: Row[Any], now: datetime) -> tuple[int, int, int, int]:
    """Return what today adds: a day, what should be final by now, what is, and whether anything is missing."""
    facts = providers.get(series.provider).facts
    width = timedelta(seconds=seconds_of(series.interval))
    until = now - timedelta(seconds=facts.settle_s) - width - min(_GRACE_INTERVALS * width, _MOST_GRACE)
    begins = midnight(now.astimezone(UTC).date())
    if series.since is not None:
        begins = max(begins, series.since)
    if until <= begins:
        return 0, 0, 0, 0
    expected = expected_count(calendar_of(facts, series.instrument), series.interval, begins, until)
    proven = 0 if row.state in DOUBTED else min(row.final + row.confirmed, expected)
    return 1, expected, proven, int(proven < expected)
