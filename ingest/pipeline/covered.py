"""Covered: for which stretches of time a batch's answers say all that there is. Pure.

Deliberately not here: whether it is stored (models/evidence). Invariant: what is not proven is not covered. A window is
covered by the whole chain of its pages; where pages before or behind are missing, or no window was asked, pages cover
what lies between their own rows. A page with a row that was refused, or with fewer than there must be, covers nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import polars as pl

from ingest.market.calendars import expected_by_day
from ingest.market.intervals import bar_open, seconds_of
from ingest.market.times import midnight
from ingest.payloads import StoredAnswer
from ingest.pipeline.calls import FetchCall
from ingest.providers.contract import Facts
from models.evidence import Stretch

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)
#: Of what nobody can say how many rows it has, in the part that is covered and in the whole day.
_UNKNOWN: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class Covered:
    """A stretch `[start, end)` of an instrument. What was asked at `observed_at` says all that is in it."""

    instrument: str
    start: datetime
    end: datetime
    observed_at: datetime


@dataclass(slots=True)
class _Chain:
    """The pages that were asked for one window, as far as this batch has them."""

    begins: bool = False
    ends: bool = False
    pages: list[int] = field(default_factory=list)


def covered(
    facts: Facts, call: FetchCall, answers: Sequence[StoredAnswer], good: pl.DataFrame, spoilt: Collection[int]
) -> list[Covered]:
    """Return what these answers cover, by instrument and ascending, adjoining stretches as one.

    `good` are their rows, `spoilt` the places of answers some of whose rows are not among them.
    """
    if call.dataset not in ("bars", "trades", "observations"):
        return []
    found: list[Covered] = []
    partial: list[_Chain] = []
    for chain in _chains(answers, spoilt):
        request = answers[chain.pages[0]].answer.request
        if chain.begins and chain.ends and request.start is not None and request.end is not None:
            said_at, last = answers[chain.pages[0]].answer.said_at, answers[chain.pages[-1]].answer.sent_at
            end = min(request.end, _settled(facts, call, said_at))
            if end > request.start:
                found += [Covered(name, request.start, end, last) for name in request.instruments]
        else:
            partial.append(chain)
    if partial and call.dataset != "observations" and good.height:
        found += _between_rows(facts, call, answers, good, partial)
    return _joined(found)


def stretches(
    found: Sequence[Covered],
    call: FetchCall,
    ids: Mapping[str, int],
    calendars: Mapping[str, str],
    good: pl.DataFrame,
    *,
    doubtful: Mapping[int, set[date]],
) -> list[Stretch]:
    """Return the covered stretches day by day, with what the calendars (by instrument) expect of each.

    Days on which nothing is expected are left out where no row came for them, unless they are among the `doubtful` (by
    series), whose rows must not be there then; of observations, all days without rows are.
    """
    days = _days_with_rows(good)
    made: list[Stretch] = []
    for one in found:
        series_id, with_rows = ids[one.instrument], days.get(one.instrument, set())
        if call.dataset != "observations":
            with_rows = with_rows | doubtful.get(series_id, set())
        made += _of_days(one, call, series_id, calendars[one.instrument], with_rows)
    return sorted(made, key=lambda one: (one.series_id, one.day, one.start))


def _chains(answers: Sequence[StoredAnswer], spoilt: Collection[int]) -> list[_Chain]:
    """Return the chains that no page spoils."""
    chains: dict[object, _Chain] = {}
    ill = set[object]()
    for place, kept in enumerate(answers):
        request = kept.answer.request
        windowless = place if request.start is None else None
        key = (request.path, request.instruments, request.start, request.end, windowless)
        chain = chains.setdefault(key, _Chain())
        chain.pages.append(place)
        chain.begins |= not request.follows
        chain.ends |= kept.is_last is True
        if kept.rule is not None or place in spoilt:
            ill.add(key)
    return [chain for key, chain in chains.items() if key not in ill]


def _settled(facts: Facts, call: FetchCall, said_at: datetime) -> datetime:
    """Return up to where what was there when it was said will stay as it is."""
    until = said_at - timedelta(seconds=facts.settle_s)
    return until if call.interval is None else bar_open(until, call.interval)


def _between_rows(
    facts: Facts, call: FetchCall, answers: Sequence[StoredAnswer], good: pl.DataFrame, chains: Sequence[_Chain]
) -> Iterator[Covered]:
    """Yield the stretches from the first to the last row of each chain, by instrument.

    Moments at both ends may have more trades than came.
    """
    of_chain = {place: at for at, chain in enumerate(chains) for place in chain.pages}
    spans = (
        good.lazy()
        .filter(pl.col("answer").is_in(list(of_chain)))
        .with_columns(pl.col("answer").replace_strict(of_chain, return_dtype=pl.Int64).alias("chain"))
        .group_by("chain", "instrument")
        .agg(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last"))
        .collect()
    )
    for at, name, first, last in spans.select("chain", "instrument", "first", "last").iter_rows():
        pages = [answers[place].answer for place in chains[at].pages]
        start, end = (first, last) if call.interval else (first + _MICROSECOND, last)
        if call.interval:
            end += timedelta(seconds=seconds_of(call.interval))
        end = min(end, _settled(facts, call, min(one.said_at for one in pages)))
        if end > start:
            yield Covered(name, start, end, max(one.sent_at for one in pages))


def _joined(found: Sequence[Covered]) -> list[Covered]:
    joined: list[Covered] = []
    for one in sorted(found, key=lambda one: (one.instrument, one.start)):
        before = joined[-1] if joined else None
        if before is not None and before.instrument == one.instrument and one.start <= before.end:
            latest = max(before.observed_at, one.observed_at)
            joined[-1] = Covered(one.instrument, before.start, max(before.end, one.end), latest)
        else:
            joined.append(one)
    return joined


def _days_with_rows(good: pl.DataFrame) -> dict[str, set[date]]:
    days: dict[str, set[date]] = {}
    for name, day in good.select("instrument", pl.col("ts").dt.date()).unique().iter_rows():
        days.setdefault(name, set()).add(day)
    return days


def _of_days(one: Covered, call: FetchCall, series_id: int, calendar: str, with_rows: set[date]) -> Iterator[Stretch]:
    start, end = one.start.astimezone(UTC), one.end.astimezone(UTC)
    first, last = midnight(start.date()), midnight((end - _MICROSECOND).date())
    expected: dict[date, tuple[int | None, int | None]]
    if call.interval is not None:
        in_part = dict(expected_by_day(calendar, call.interval, start, end))
        in_day = dict(expected_by_day(calendar, call.interval, first, last + _DAY))
        days = in_day.keys() | with_rows
        expected = {day: (in_part.get(day, 0), in_day.get(day, 0)) for day in days}
    elif call.dataset == "observations":
        expected = dict.fromkeys(with_rows, _UNKNOWN)
    else:
        expected = {(first + at * _DAY).date(): _UNKNOWN for at in range((last - first).days + 1)}
    for day, numbers in expected.items():
        begins, ends = max(midnight(day), start), min(midnight(day) + _DAY, end)
        if begins < ends:
            yield Stretch(series_id, day, begins, ends, one.observed_at, *numbers)
