"""Wanted days: what of a series a backfill is to bring, from the calendar, the ledger, and what jobs will bring anyway.

Deliberately not here: cutting it into jobs (backfill_chunks) and what is missing of a day (gaps_grid, gaps_trades).
Invariant: it only reads; unless all is asked for anew, no stretch holds a day that is settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from ingest.market.calendars import expected_by_day
from ingest.market.records import Dataset
from ingest.market.times import first_date, midnight
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.gaps import LOOKS, PROVEN_BY_DAY
from ingest.pipeline.gaps_days import DayGaps
from ingest.pipeline.gaps_owed import DAY, Owed
from ingest.pipeline.gaps_windows import Ranges, Window
from ingest.pipeline.jobs import GAP_PREFIX
from ingest.providers.contract import Facts, calendar_of
from models import Series

Mode = Literal["missing", "suspect", "all"]
MODES: tuple[Mode, ...] = ("missing", "suspect", "all")

#: A day that is only planned is as if nothing were known of it.
_KNOWN = text("""
    SELECT CASE WHEN state = 'planned' AND stored = 0 AND once = '{}' THEN 'absent' ELSE state END AS state,
        array_agg(day) AS days
    FROM ledger WHERE series_id = :series AND day >= :first AND day < :past GROUP BY 1
""")
#: Jobs of one kind that are not over, by instrument. Each half goes over an index of its own, however many are done.
_PENDING = text("""
    SELECT id, key, names.instrument, (kwargs->>'start')::timestamptz AS starts,
        coalesce((kwargs->>'end')::timestamptz, '9999-01-01Z') AS ends
    FROM (
        SELECT id, key, kwargs FROM jobs WHERE lane = 'backfill' AND task = :task AND state = 'due'
        UNION ALL
        SELECT id, key, kwargs FROM jobs
        WHERE lane = 'backfill' AND task = :task AND state IN ('leased', 'fetched')
    ) AS jobs, jsonb_array_elements_text(CASE WHEN jsonb_typeof(kwargs->'instruments') = 'array'
        THEN kwargs->'instruments' ELSE '[]' END) AS names (instrument)
    WHERE kwargs->>'dataset' = :dataset AND kwargs->>'interval' IS NOT DISTINCT FROM :interval
        AND kwargs->>'start' ~ :moment AND coalesce(kwargs->>'end', '9999-01-01T') ~ :moment
        AND names.instrument = ANY(:instruments)
""")


@dataclass(frozen=True, slots=True)
class Promise:
    """A job that is not over and what it will bring. `heals`: it may delete what the answer does not hold."""

    job_id: int
    start: datetime
    end: datetime
    heals: bool


@dataclass(slots=True)
class Wanted:
    """What is wanted of a series: `stretches`, and `ill` ones, which are suspect. `shared` jobs bring a part of it.

    Days are counted by how the ledger has them, whatever is asked for: `whole_days` are those that lie in the window
    with all their hours, of which `missing`, `suspect`, `verified` and `unavailable` ones with any.
    """

    instrument: str
    kind: str
    stretches: list[Window] = field(default_factory=list)
    ill: list[Window] = field(default_factory=list)
    shared: set[int] = field(default_factory=set)
    missing: int = 0
    suspect: int = 0
    verified: int = 0
    unavailable: int = 0
    whole_days: int = 0


@dataclass(frozen=True, slots=True)
class Days:
    """Whose days are wanted: `[start, end)` of one provider's dataset, as far as it can be asked for by `now`.

    `settled` is up to when its rows stay as they are. Stretches of a day no further apart than
    `bridge` are one.
    """

    facts: Facts
    dataset: Dataset
    interval: str | None
    start: datetime
    end: datetime
    reach: datetime | None
    settled: datetime
    bridge: timedelta
    mode: Mode
    now: datetime
    #: is told of each day that was looked at and lies in the window whole
    looked: Callable[[Owed, Sequence[DayGaps]], object] = lambda owed, days: None
    _expected: dict[tuple[str, datetime], Sequence[Window]] = field(default_factory=dict)
    _blank: dict[tuple[str, datetime], Wanted] = field(default_factory=dict)

    def of(self, session: Session, instrument: str, series: Series | None, promises: Sequence[Promise]) -> Wanted:
        """Return what is wanted of an instrument. `series` is None where nothing of it was ever stored."""
        kind, end = calendar_of(self.facts, instrument), self._end(series)
        days = self._days(kind, end)
        known = _states(session, series, days)
        if not known and not promises and (kind, end) in self._blank:
            return replace(self._blank[kind, end], instrument=instrument)
        found, runs = Wanted(instrument, kind), list[list[Window]]()
        open_days = self._open(session, series, known, kind, end)
        for state, group in groupby(days, key=lambda one: known.get(one.start.date(), "absent")):
            self._take(found, state, list(group), open_days, runs)
        found.whole_days = max(sum(one.end - one.start == DAY for one in days) - found.unavailable, 0)
        self._keep_promises(found, runs, promises)
        if not known and not promises:
            self._blank[kind, end] = found
        return found

    def _end(self, series: Series | None) -> datetime:
        """Return the end of what is wanted: today of what is followed is for the live lane and the gaps' check."""
        ends = [self.end]
        if series is not None and series.followed:
            ends.append(midnight(self.now.astimezone(UTC).date()))
        if series is not None and series.until is not None:
            ends.append(series.until)
        return min(ends)

    def _days(self, kind: str, end: datetime) -> Sequence[Window]:
        """Return the parts of the days before `end` on which something must be; of what is no bar, every day's."""
        if (kind, end) not in self._expected:
            if self.interval is None:
                first = self.start.astimezone(UTC).date()
                days = [(first + at * DAY, 0) for at in range((first_date(end) - first).days)]
            else:
                days = expected_by_day(kind, self.interval, self.start, end)
            opens = [(midnight(day), rows) for day, rows in days]
            self._expected[kind, end] = [Window(max(at, self.start), min(at + DAY, end), rows) for at, rows in opens]
        return self._expected[kind, end]

    def _open(
        self, session: Session, series: Series | None, known: Mapping[date, str], kind: str, end: datetime
    ) -> Mapping[date, DayGaps]:
        """Return of the days that are partly there what is missing."""
        if series is None or self.dataset not in PROVEN_BY_DAY or not {"planned", "fetched"} & set(known.values()):
            return {}
        asked = (series.id, self.facts, self.dataset, series.instrument, series.interval, kind)
        owed = Owed(*asked, self.start, end, self.reach)
        looked = LOOKS[self.dataset](session, owed, self.now, waiting_too=True)
        self.looked(owed, [one for one in looked if self.start <= midnight(one.day) and midnight(one.day) + DAY <= end])
        return {one.day: one for one in looked}

    def _take(
        self,
        found: Wanted,
        state: str,
        days: Sequence[Window],
        open_days: Mapping[date, DayGaps],
        runs: list[list[Window]],
    ) -> None:
        """Count days that are in the same state, and add what is wanted of them; a day that is not ends a run."""
        if state in ("planned", "fetched"):
            for one in days:
                looked = open_days.get(one.start.date())
                is_whole = looked is not None and looked.is_whole
                self._count(found, "verified" if is_whole else "missing", 1)
                wanted = () if is_whole else (one,) if looked is None else looked.windows
                _follow(runs, (one,) if self.mode == "all" else wanted)
            return
        self._count(found, state, len(days))
        if state == "suspect":
            found.ill += [self._all_of(one) for one in days] if self.mode != "missing" else []
        # Of a file's days nobody has said anything yet.
        _follow(runs, days if state in ("absent", "imported") or (self.mode == "all" and state != "suspect") else ())

    def _count(self, found: Wanted, state: str, days: int) -> None:
        if state in ("verified", "empty_confirmed"):
            found.verified += days
        elif state in ("unavailable", "retired"):
            found.unavailable += days
        elif state == "suspect":
            found.suspect += days
        else:
            found.missing += days

    def _all_of(self, part: Window) -> Window:
        """Return the whole of a day: only answers that cover all of a suspect one make it whole again."""
        day = part.start.astimezone(UTC).date()
        begins = midnight(day) if self.reach is None else max(midnight(day), self.reach)
        return Window(begins, min(midnight(day) + DAY, max(self.settled, part.end)), part.rows)

    def _keep_promises(self, found: Wanted, runs: Sequence[Sequence[Window]], promises: Sequence[Promise]) -> None:
        """Leave out what jobs will bring, and remember these jobs; a job that does not heal promises nothing ill."""
        healing = [one for one in promises if one.heals]
        found.ill = [piece for one in found.ill for piece in self._left(found, one, healing)]
        joined = (one for run in runs for one in _joined(run, self.bridge))
        found.stretches = [piece for one in joined for piece in self._left(found, one, promises)]

    def _left(self, found: Wanted, window: Window, promises: Sequence[Promise]) -> Iterator[Window]:
        touching = [one for one in promises if one.start < window.end and window.start < one.end]
        if not touching:
            yield window
            return
        found.shared |= {one.job_id for one in touching}
        for start, end in Ranges.of((one.start, one.end) for one in touching).without(window.start, window.end):
            yield Window(start, end, self._rows(found.kind, start, end))

    def _rows(self, kind: str, start: datetime, end: datetime) -> int:
        if self.interval is None:
            return 0
        return sum(rows for _, rows in expected_by_day(kind, self.interval, start, end))


def promises_of(
    session: Session, facts: Facts, dataset: Dataset, interval: str | None, instruments: Sequence[str]
) -> Mapping[str, list[Promise]]:
    """Return what jobs that are not over will bring, by instrument."""
    asked = {
        "task": f"{FETCH_PREFIX}{facts.name}",
        "dataset": dataset,
        "interval": interval,
        "moment": r"^\d{4}-\d\d-\d\dT",
        "instruments": list(instruments),
    }
    found: dict[str, list[Promise]] = {}
    for row in session.execute(_PENDING, asked):
        promise = Promise(row.id, row.starts, row.ends, row.key.startswith(GAP_PREFIX))
        found.setdefault(row.instrument, []).append(promise)
    return found


def _states(session: Session, series: Series | None, days: Sequence[Window]) -> Mapping[date, str]:
    if series is None or not days:
        return {}
    bounds = {"series": series.id, "first": days[0].start.date(), "past": days[-1].start.date() + timedelta(days=1)}
    return {day: row.state for row in session.execute(_KNOWN, bounds) for day in row.days}


def _follow(runs: list[list[Window]], windows: Sequence[Window]) -> None:
    """Add what is wanted of the next day, or days, to the last run; nothing begins a new one."""
    if not windows:
        runs.append([])
    elif runs:
        runs[-1] += windows
    else:
        runs.append([*windows])


def _joined(windows: Sequence[Window], bridge: timedelta) -> Iterator[Window]:
    """Yield as few stretches as hold these (ascending), joined across days without a market, holes up to `bridge`."""
    if not windows:
        return
    start, end, rows = windows[0].start, windows[0].end, 0
    for one in windows:
        is_closed_between = end.time() == one.start.time() == time.min
        if not is_closed_between and one.start - end > bridge:
            yield Window(start, end, rows)
            start, rows = one.start, 0
        end, rows = one.end, rows + one.rows
    yield Window(start, end, rows)
