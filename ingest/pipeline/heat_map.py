"""The heat-map: of each series and day, whether what must be there is. Reads the ledger, never the rows.

Deliberately not here: how it is drawn, and sums over years (coverage). Invariant: a day's state follows from the ledger
in one place, `_STATE`; only a day that the ledger does not know is judged by the market's calendar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from sqlalchemy import Select, and_, bindparam, func, or_, select, text
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import expected_by_day
from ingest.market.times import midnight
from ingest.pipeline.coverage import BEST_EFFORT
from ingest.providers.contract import calendar_of
from models import LedgerDay, Series

#: complete     proven: all that is expected is stored, or confirmed not to exist
#: in progress  the day is not over
#: partial      some of it is stored, or all of it on a file's word alone
#: missing      nothing of it is stored
#: suspect      the table does not hold what was answered
#: unavailable  it can't be had any more
#: closed       the market did not trade
#: not owed     nobody asked for it
DayState = Literal["complete", "in progress", "partial", "missing", "suspect", "unavailable", "closed", "not owed"]
DAY_STATES: tuple[DayState, ...] = get_args(DayState)
#: Those that a day of the ledger can have.
KNOWN_STATES = DAY_STATES[:6]
_STATE = f"""CASE
    WHEN state = 'verified' OR state = 'empty_confirmed' THEN 'complete' -- most days, and IN takes longer for text
    WHEN state = 'suspect' THEN 'suspect'
    WHEN state IN ('unavailable', 'retired') THEN 'unavailable'
    WHEN day >= :today THEN 'in progress'
    WHEN stored > 0 AND dataset IN {BEST_EFFORT} THEN 'complete'
    WHEN stored > 0 THEN 'partial'
    ELSE 'missing' END"""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which series: `words` stand in the instrument's name, `state` is that of some day of the window."""

    provider: str | None = None
    dataset: str | None = None
    words: str | None = None
    state: DayState | None = None


class Cell(NamedTuple):
    """A day of a series; `expected` and `stored` are rows, None where no number is known.

    A tuple, because a page holds thousands: a frozen dataclass takes three times as long to make.
    """

    day: date
    state: DayState
    expected: int | None = None
    stored: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Series that fit, of these `rows` of one page with a cell for each of `days`, and the states of all their days."""

    days: Sequence[date]
    series: int
    rows: Sequence[tuple[Series, Sequence[Cell]]]
    states: Counter[DayState]


def window_of(days: int, now: datetime) -> list[date]:
    """Return the last so many days, today the last."""
    today = now.astimezone(UTC).date()
    return [today - at * _DAY for at in reversed(range(days))]


def heat_map(
    session: Session, wanted: Filter, days: Sequence[date], now: datetime, *, offset: int = 0, limit: int = 100
) -> HeatMap:
    """Return the heat-map of these days, of one page of the series that are followed or hold rows of these days.

    Cost: four queries; the ledger's days of the window are read at most twice for all series, and those of the page
    again.
    """
    window = {"first": days[0], "last": days[-1], "today": now.astimezone(UTC).date()}
    order = (Series.provider, Series.dataset, Series.instrument, Series.interval)
    every = session.scalars(_matching(wanted, window).order_by(*order)).all()
    page = every[offset : offset + limit]
    shown = session.scalars(select(Series).where(Series.id.in_(page)).order_by(*order)).all()
    cells = cells_of(session, shown, days, now)
    sums = session.execute(_SUMS, window | {"ids": every}).all()
    return HeatMap(days, len(every), [(one, cells[one.id]) for one in shown], Counter({row[0]: row[1] for row in sums}))


def cells_of(
    session: Session, series: Sequence[Series], days: Sequence[date], now: datetime
) -> dict[int, Sequence[Cell]]:
    """Return a cell for each of these days, by series."""
    asked = {
        "ids": [one.id for one in series],
        "first": days[0],
        "last": days[-1],
        "today": now.astimezone(UTC).date(),
    }
    known: dict[int, dict[date, Cell]] = {one.id: {} for one in series}
    for series_id, day, expected, stored, said, own, deleted_at, shown in session.execute(_CELLS, asked).all():
        note = _NOTES.get(said) or (own if deleted_at is None else f"its rows were deleted on {deleted_at:%Y-%m-%d}")
        known[series_id][day] = Cell(day, shown, expected, stored, note)
    return {one.id: _cells(one, days, known[one.id], now) for one in series}


#: What a state of the ledger adds to the word that is shown.
_NOTES = {
    "imported": "from a file, not answered yet",
    "empty_confirmed": "nothing is there, and a second answer said so",
}
_CELLS = text(f"""
    SELECT series_id, day, expected, stored, state, note, deleted_at, {_STATE}
    FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE series_id = ANY(:ids) AND day BETWEEN :first AND :last
""")

_SUMS = text(f"""
    SELECT {_STATE}, count(*) FROM ledger JOIN series ON series.id = ledger.series_id
    WHERE series_id = ANY(:ids) AND day BETWEEN :first AND :last GROUP BY 1
""")


def _matching(wanted: Filter, window: dict[str, date]) -> Select[int]:
    """Return the query of the ids of the series that fit."""
    in_window = and_(LedgerDay.series_id == Series.id, LedgerDay.day.between(window["first"], window["last"]))
    holds = select(LedgerDay.series_id).where(in_window, LedgerDay.stored > 0).exists()
    query = select(Series.id).where(or_(Series.followed, holds))
    if wanted.provider:
        query = query.where(Series.provider == wanted.provider)
    if wanted.dataset:
        query = query.where(Series.dataset == wanted.dataset)
    if wanted.words:
        query = query.where(func.strpos(Series.instrument, wanted.words.upper()) > 0)
    if wanted.state:
        has_state = text(f"{_STATE} = :wanted").bindparams(
            bindparam("today", window["today"]), bindparam("wanted", wanted.state)
        )
        query = query.where(select(LedgerDay.series_id).where(in_window, has_state).exists())
    return query


def _cells(series: Series, days: Sequence[date], known: dict[date, Cell], now: datetime) -> list[Cell]:
    return [known.get(day) or Cell(day, _unknown(series, day, days, now)) for day in days]


def _unknown(series: Series, day: date, days: Sequence[date], now: datetime) -> DayState:
    """Return the state of a day that the ledger does not know."""
    if series.dataset != "bars" or not series.followed:
        return "not owed"
    calendar = calendar_of(providers.get(series.provider).facts, series.instrument)
    if day not in _open_days(calendar, series.interval, days[0], days[-1]):
        return "closed"
    since = series.planned_from or series.since or series.created_at
    if midnight(day) + _DAY <= since or (series.until is not None and series.until <= midnight(day)):
        return "not owed"
    return "in progress" if day >= now.astimezone(UTC).date() else "missing"


@lru_cache(maxsize=256)
def _open_days(calendar: str, interval: str, first: date, last: date) -> frozenset[date]:
    return frozenset(day for day, _ in expected_by_day(calendar, interval, midnight(first), midnight(last) + _DAY))
