"""Status: what is stored of each followed series, how fresh it is, and what is still owed. Reads only.

Cost: one index look-up a series for its newest row; counts come from the ledger, never from the rows.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from sqlalchemy import Case, case, func, literal, or_, select
from sqlalchemy.orm import Session

from ingest import providers
from ingest.market.calendars import expected_count, open_seconds
from ingest.market.records import DATASETS
from ingest.pipeline.follow import HISTORY_PREFIX
from ingest.providers.contract import calendar_of
from models import Bar, Job, LedgerDay, Series
from models.upsert import table_of

State = Literal["waiting", "loading", "current", "late", "stored", "refused"]
#: Bars are late when this many that should have opened after the newest one are missing.
LATE_AFTER_INTERVALS = 3
#: The others when their newest row is older than this in market time; a quiet market may have no trade in a minute.
LATE_AFTER_S = {"trades": 600.0, "quotes": 10.0, "books": 120.0}
#: They come when something happens; how late a release is, its calendar says.
_WITHOUT_PACE = ("news", "observations", "posts", "actions")


@dataclass(frozen=True, slots=True)
class SeriesStatus:
    """A series at a glance. `age_s` is the newest row's age; `owed` counts the jobs of its history not done yet.

    States: waiting (nothing stored yet), loading (history is owed), current or late (against its own pace, in
    the hours of its market), refused (the provider does not know the instrument), stored (everything owed is there;
    whether it is complete is the ledger's to say).
    """

    provider: str
    dataset: str
    instrument: str
    interval: str
    rows: int
    newest: datetime | None
    age_s: float | None
    owed: int
    state: State


class Followed(NamedTuple):
    """A series and the time of its newest row. A tuple, because a page asks for all of them."""

    id: int
    provider: str
    dataset: str
    instrument: str
    interval: str
    followed: bool
    since: datetime | None
    refused: str | None
    newest: datetime | None


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a series' newest row is behind in its market's own hours, and how far it may be: bars or seconds."""

    behind: float
    most: float
    unit: Literal["bars", "s"]

    @property
    def is_late(self) -> bool:
        """Say whether it is further behind than it may be; the third bar that is missing is late, the second is not."""
        return self.behind >= self.most if self.unit == "bars" else self.behind > self.most


def series_status(session: Session, now: datetime) -> list[SeriesStatus]:
    """Return the status of every followed series, ordered by provider, dataset, instrument and interval."""
    sums = select(LedgerDay.series_id, func.sum(LedgerDay.stored)).group_by(LedgerDay.series_id)
    stored = {series_id: int(rows) for series_id, rows in session.execute(sums)}
    owed = history_owed(session)
    return [
        _status(
            series,
            stored.get(series.id, 0),
            owed.get((series.provider, series.dataset, series.instrument, series.interval), 0),
            now,
        )
        for series in followed_series(session)
    ]


def followed_series(session: Session, *, also: Collection[int] = ()) -> list[Followed]:
    """Return every followed series, and those with these ids, ordered as above."""
    order = (Series.provider, Series.dataset, Series.instrument, Series.interval)
    wanted = or_(Series.followed, Series.id.in_(also)) if also else Series.followed
    columns = (getattr(Series, name) for name in Followed._fields[:-1])
    return [Followed._make(row) for row in session.execute(select(*columns, _newest()).where(wanted).order_by(*order))]


def newest_of(session: Session, series_id: int) -> datetime | None:
    """Return the time of a series' newest row."""
    return session.scalar(select(_newest()).where(Series.id == series_id))


def _newest() -> Case[datetime | None]:
    return case(
        {
            dataset: select(func.max(table.c.ts)).where(table.c.series_id == Series.id).scalar_subquery()
            for dataset, table in ((one, table_of(one)) for one in DATASETS)
        },
        value=Series.dataset,
    )


def count_bars(session: Session, provider: str, interval: str) -> dict[str, int]:
    """Return how many bars are stored of each instrument, counted in the table itself: reads every one of them."""
    query = (
        select(Series.instrument, func.count())
        .join(Bar, Bar.series_id == Series.id)
        .where(Series.provider == provider, Series.interval == interval)
        .group_by(Series.instrument)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def history_owed(session: Session) -> dict[tuple[str, str, str, str], int]:
    """Return how many history jobs are not over, by provider, dataset, instrument and interval."""
    asked = (Job.kwargs["dataset"], Job.kwargs["instruments"][0], Job.kwargs["interval"])
    query = (
        select(Job.task, *(one.astext for one in asked), func.count())
        .where(Job.lane == "backfill", Job.state.in_(("due", "leased", "fetched")))
        .group_by(*(literal(place) for place in range(1, 5)))
    )
    return {
        (task.rpartition(".")[2], dataset, instrument, interval or ""): count
        for task, dataset, instrument, interval, count in session.execute(query)
    }


def history_progress(session: Session) -> tuple[int, int]:
    """Return how many jobs of ordered history are over, and how many there are: those of gaps are not among them."""
    over = func.count().filter(Job.state.not_in(("due", "leased", "fetched")))
    ordered = Job.lane == "backfill", Job.key.startswith(HISTORY_PREFIX)
    done, total = session.execute(select(over, func.count()).where(*ordered)).one()
    return done, total


def _status(series: Followed, rows: int, owed: int, now: datetime) -> SeriesStatus:
    newest = series.newest
    age_s = None if newest is None else max((now - newest).total_seconds(), 0.0)
    return SeriesStatus(
        provider=series.provider,
        dataset=series.dataset,
        instrument=series.instrument,
        interval=series.interval,
        rows=rows,
        newest=newest,
        age_s=age_s,
        owed=owed,
        state=_state(series, owed, now),
    )


def _state(series: Followed, owed: int, now: datetime) -> State:
    if series.refused is not None:
        return "refused"
    if owed:
        return "loading"
    if series.newest is None:
        return "waiting"
    if series.dataset in _WITHOUT_PACE:
        return "stored"
    return "late" if is_late(series, now) else "current"


def is_late(series: Followed, now: datetime) -> bool:
    """Say whether the newest row is older, in its market's own hours, than the series' pace allows."""
    lag = lag_of(series, series.newest, now)
    return lag is not None and lag.is_late


def lag_of(series: Series | Followed, newest: datetime | None, now: datetime) -> Lag | None:
    """Return how far the newest row is behind; None where there is none, or nothing says when one must come."""
    if newest is None or series.dataset in _WITHOUT_PACE:
        return None
    facts = providers.get(series.provider).facts
    calendar = calendar_of(facts, series.instrument)
    due = now - timedelta(seconds=facts.lag_s)
    if not series.interval:
        return Lag(open_seconds(calendar, newest, due), LATE_AFTER_S[series.dataset], "s")
    missing = expected_count(calendar, series.interval, newest + timedelta(microseconds=1), due)
    return Lag(missing, LATE_AFTER_INTERVALS, "bars")
