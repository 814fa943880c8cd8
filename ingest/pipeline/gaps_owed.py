"""Owed days: a row in the ledger for each day of a followed series on which something must exist.

Deliberately not here: what is missing of a day (gaps_grid), and jobs (gaps). Invariant: a day is planned once; what the
ledger knows of it already stays, but for what is expected of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import expected_by_day
from ingest.market.records import DEFAULT_SINCE, Dataset
from ingest.market.releases import DATE_SLACK_DAYS, RELEASE_LAG_DAYS, expected_releases, frequency_of
from ingest.market.times import midnight
from ingest.pipeline.calls import first_in_reach, reach_in_words
from ingest.pipeline.terms import why_unusable
from ingest.providers.contract import Facts, calendar_of
from ingest.settings import Settings
from models import Series

DAY = timedelta(days=1)
#: The others come when something happens: of no day anybody can say that it must have one.
PLANNED: tuple[Dataset, ...] = ("bars", "trades", "quotes", "books", "observations")
_MICROSECOND = timedelta(microseconds=1)
#: Inserts what is new. Of a day that is known only the expectation changes, and whether it can be had after all.
_INSERT = text("""
    INSERT INTO ledger AS known (series_id, day, expected, stored, final, job_id, state, note, updated_at)
    SELECT :series, owed.day, owed.expected, 0, 0, 0,
        CASE WHEN owed.day < CAST(:reach AS date) THEN :beyond ELSE 'planned' END,
        CASE WHEN owed.day < CAST(:reach AS date) THEN :why END, :now
    FROM unnest(CAST(:days AS date[]), CAST(:expected AS integer[])) AS owed (day, expected) ORDER BY owed.day
    ON CONFLICT (series_id, day) DO UPDATE SET
        expected = excluded.expected,
        state = CASE
            WHEN known.state = 'unavailable' AND known.stored = 0 THEN excluded.state
            WHEN known.state IN ('verified', 'empty_confirmed') AND known.deleted_at IS NULL
                AND (known.final + known.confirmed < excluded.expected
                    OR (excluded.expected IS NULL AND known.day = CAST(:again AS date))) THEN 'fetched'
            ELSE known.state END,
        attempts = CASE WHEN known.state IN ('verified', 'empty_confirmed') THEN 0 ELSE known.attempts END,
        next_at = CASE WHEN known.state IN ('verified', 'empty_confirmed') THEN NULL ELSE known.next_at END,
        note = CASE WHEN known.state = 'unavailable' AND known.stored = 0 THEN excluded.note ELSE known.note END
    WHERE known.expected IS DISTINCT FROM excluded.expected OR (known.state = 'unavailable' AND known.stored = 0)
        OR known.day = CAST(:again AS date)
""")
_KNOWN = text("SELECT day FROM ledger WHERE series_id = :series AND stored > 0 ORDER BY day")
_INSERT_DATES = text("""
    INSERT INTO ledger (series_id, day, stored, final, job_id, state, updated_at)
    SELECT :series, day, 0, 0, 0, 'planned', :now FROM unnest(CAST(:days AS date[])) AS day ORDER BY day
    ON CONFLICT DO NOTHING RETURNING day
""")
_REFUSE = text(
    "UPDATE ledger SET state = 'unavailable', note = :why, updated_at = :now"
    " WHERE series_id = :series AND state IN ('planned', 'fetched')"
)
_OUT_OF_REACH = text(f"{_REFUSE} AND day < :reach")
_FORGET = text("DELETE FROM ledger WHERE series_id = :series AND state = 'planned' AND stored = 0 AND day > :last")


@dataclass(frozen=True, slots=True)
class Owed:
    """A followed series, and the time `[start, until)` of which its rows are owed; `until` None: it goes on.

    `reach`: the oldest moment its provider can be asked for.
    """

    id: int
    facts: Facts
    dataset: Dataset
    instrument: str
    interval: str
    calendar: str
    start: datetime
    until: datetime | None
    reach: datetime | None

    def bounds(self, day: date, now: datetime) -> tuple[datetime, datetime]:
        """Return the part of a day that is owed by `now`; its end lies before its start where that is nothing."""
        opens = midnight(day)
        return max(opens, self.start), min(opens + DAY, self.until or now, now)


def plan_days(session: Session, config: Settings, now: datetime) -> tuple[list[Owed], int]:
    """Plan the days that came to be owed since the last time; return the followed series and how many days these are.

    Series that the provider refuses are left out: what is missing of them is unavailable, with its words. Where nothing
    is new it is one query.
    """
    followed, planned = [], 0
    for series in session.scalars(select(Series).where(Series.followed).order_by(Series.id)):
        if series.refused is not None:
            if series.planned_until is not None:
                session.execute(_REFUSE, {"series": series.id, "why": series.refused, "now": now})
                _remember(session, series.id, None, None)
            continue
        owed = _owed(config, series, now)
        if owed is not None:
            if owed.dataset == "observations":
                planned += _plan_dates(session, series, owed, now)
            else:
                planned += _plan(session, config, series, owed, now)
            followed.append(owed)
    return followed, planned


def known_dates(session: Session, series_id: int) -> list[date]:
    """Return the dates for which a series of observations has a value, ascending."""
    return list(session.scalars(_KNOWN, {"series": series_id}))


def _owed(config: Settings, series: Series, now: datetime) -> Owed | None:
    """Return from when on a series' rows are owed; None where that is not known."""
    facts = providers.get(series.provider).facts
    dataset: Dataset = series.dataset  # type: ignore[assignment]
    back = DEFAULT_SINCE[dataset]
    if dataset not in PLANNED:
        return None
    if series.since is not None:
        start = series.since
    elif back is not None:
        start = (series.created_at.astimezone(UTC) - back).replace(hour=0, minute=0, second=0, microsecond=0)
    else:
        return None
    kept_days = int(getattr(config, f"tickfarm_keep_{dataset}_days"))
    if kept_days:  # what would be deleted at once is not owed
        start = max(start, series.created_at - kept_days * DAY)
    calendar = calendar_of(facts, series.instrument)
    reach = first_in_reach(facts, dataset, series.interval or None, now)
    return Owed(
        series.id,
        facts,
        dataset,
        series.instrument,
        series.interval,
        calendar,
        start.astimezone(UTC),
        series.until.astimezone(UTC) if series.until is not None else None,
        reach,
    )


def _plan(session: Session, config: Settings, series: Series, owed: Owed, now: datetime) -> int:
    """Plan the days before and behind those that are planned; return how many."""
    past = min(owed.until or datetime.max.replace(tzinfo=UTC), midnight(now.date() + DAY))
    first, last = owed.start.date(), (past - _MICROSECOND).date()
    days: dict[date, int | None] = {}
    for begin, end in _new(series, owed.start, past):
        days |= _expected(owed, max(begin, first), min(end, last) + DAY)
    if series.planned_until is not None and past < series.planned_until:  # its name ended since
        session.execute(_FORGET, {"series": owed.id, "last": last})
    why = _Why(config, owed)
    if days:
        session.execute(
            _INSERT,
            {
                "series": owed.id,
                "days": list(days),
                "expected": list(days.values()),
                "now": now,
                "reach": why.before,
                "beyond": why.state,
                "why": why.note,
                "again": series.planned_from and series.planned_from.astimezone(UTC).date(),
            },
        )
    if owed.reach is not None and not why.is_retired:
        session.execute(_OUT_OF_REACH, {"series": owed.id, "reach": owed.reach.date(), "why": why.note, "now": now})
    if (owed.start, past) != (series.planned_from, series.planned_until):
        _remember(session, owed.id, owed.start, past)
    return len(days)


def _plan_dates(session: Session, series: Series, owed: Owed, now: datetime) -> int:
    """Plan the dates of observations that must be out by now and have no value; return how many.

    They follow from those that have one, once there are enough to tell how often there is another. Done once a day.
    """
    past = min(owed.until or now, now).replace(hour=0, minute=0, second=0, microsecond=0)
    if (owed.start, past) == (series.planned_from, series.planned_until):
        return 0
    known = known_dates(session, owed.id)
    frequency = frequency_of(known)
    if frequency is None:
        return 0
    expected = expected_releases(frequency, known[0], past.date(), RELEASE_LAG_DAYS[frequency])
    slack = DATE_SLACK_DAYS[frequency]
    near = {day + by * DAY for day in known for by in range(-slack, slack + 1)}
    missing = [one for one in expected if one not in near and one >= owed.start.date()]
    _remember(session, owed.id, owed.start, past)
    return len(session.execute(_INSERT_DATES, {"series": owed.id, "days": missing, "now": now}).all())


class _Why:
    """What becomes of the days before `before`: they can't be asked for any more."""

    def __init__(self, config: Settings, owed: Owed) -> None:
        unusable = why_unusable(config, owed.facts) if owed.facts.lifecycle == "retired" else None
        self.is_retired = unusable is not None
        self.state = "retired" if self.is_retired else "unavailable"
        self.before: date | None = None
        self.note = unusable
        if self.is_retired:
            self.before = date.max
        elif owed.reach is not None:
            self.before = owed.reach.date()
            self.note = f"{reach_in_words(owed.facts, owed.dataset, owed.interval or None)} this day is beyond that"


def _new(series: Series, start: datetime, past: datetime) -> Iterator[tuple[date, date]]:
    """Yield the first and the last day of what is not planned yet, or was expected in another part."""
    if series.planned_from is None or series.planned_until is None:
        yield start.date(), past.date()
        return
    if start < series.planned_from:
        yield start.date(), series.planned_from.astimezone(UTC).date()
    if past != series.planned_until:
        until = series.planned_until.astimezone(UTC)
        yield min(until, past).date(), past.date()


def _expected(owed: Owed, first: date, past: date) -> Mapping[date, int | None]:
    if not owed.interval:
        return {first + at * DAY: None for at in range((past - first).days)}
    begin, end = owed.bounds(first, datetime.max.replace(tzinfo=UTC))[0], midnight(past)
    return dict(expected_by_day(owed.calendar, owed.interval, begin, min(end, owed.until or end)))


def _remember(session: Session, series_id: int, first: datetime | None, past: datetime | None) -> None:
    session.execute(update(Series).where(Series.id == series_id).values(planned_from=first, planned_until=past))
