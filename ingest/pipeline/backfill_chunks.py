"""Chunks: stretches of a series cut into what one job brings, along the requests the provider's file builds. Pure.

Deliberately not here: which stretches are wanted (backfill_days). Invariant: chunks of a stretch hold all of it but
pages of days without a market; each spans `JOB_ROWS` bars (or its dataset's span) at most, or one answer where the
provider's answers span more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ingest.market.calendars import expected_by_day
from ingest.market.intervals import seconds_of
from ingest.market.records import Dataset
from ingest.market.sessions import Calendar
from ingest.pipeline.follow import JOB_ROWS, JOB_SPAN
from ingest.providers.contract import Provider, Query
from ingest.wire import Request

Stretch = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one job asks for: `[start, end)`, in so many requests of so much weight, as far as they are known before."""

    start: datetime
    end: datetime
    requests: int
    weight: int


@dataclass
class Cutter:
    """Cuts the stretches of one provider's dataset. Series that trade alike are cut alike, so it is done once."""

    provider: Provider
    dataset: Dataset
    interval: str | None
    _known: dict[tuple[str, datetime, datetime], Sequence[Chunk]] = field(default_factory=dict)

    @property
    def page(self) -> timedelta:
        """Return the time that a page of bars spans; of other datasets nobody knows it."""
        if self.interval is None:
            return timedelta(0)
        return timedelta(seconds=seconds_of(self.interval)) * self.provider.facts.page_rows

    @property
    def longest(self) -> timedelta:
        """Return the longest stretch that one job asks for."""
        if self.interval is None:
            return JOB_SPAN[self.dataset]
        return max(timedelta(seconds=seconds_of(self.interval)) * JOB_ROWS, self.page)

    def chunks(self, instrument: str, calendar: Calendar, start: datetime, end: datetime) -> Sequence[Chunk]:
        """Return the chunks of `[start, end)` of an instrument, ascending. Those with one calendar are cut alike."""
        key = (calendar, start, end)
        if key not in self._known:
            self._known[key] = self._cut(instrument, calendar, start, end)
        return self._known[key]

    def _cut(self, instrument: str, calendar: Calendar, start: datetime, end: datetime) -> Sequence[Chunk]:
        found: list[Chunk] = []
        for one in self._pages(instrument, start, end):
            if self.interval and not expected_by_day(calendar, self.interval, one.start, one.end):
                continue
            before = found[-1] if found else None
            is_next = before is not None and one.start == before.end
            if before is not None and is_next and one.end - before.start <= self.longest:
                requests, weight = before.requests + one.requests, before.weight + one.weight
                found[-1] = Chunk(before.start, one.end, requests, weight)
            else:
                found.append(one)
        return tuple(found)

    def _pages(self, instrument: str, start: datetime, end: datetime) -> list[Chunk]:
        """Return the stretches that single requests ask for; one that is too long for a job is cut."""
        asked: dict[Stretch, list[Request]] = {}
        for request in self._build(instrument, start, end):
            asked.setdefault((request.start or start, request.end or end), []).append(request)
        ordered = sorted(asked)
        firsts = [start, *(first for first, _ in ordered[1:])]
        whole = zip(firsts, [*firsts[1:], end], strict=True)
        return [
            piece
            for one, (first, past) in zip(ordered, whole, strict=True)
            for piece in self._short(instrument, first, past, asked[one])
        ]

    def _short(self, instrument: str, start: datetime, end: datetime, requests: Sequence[Request]) -> Iterator[Chunk]:
        """Yield a stretch in pieces that fit, or whole where each would ask the same: a month is never sent in part."""
        pieces = list(cut(start, end, self.longest))
        built = [self._build(instrument, *piece) for piece in pieces] if len(pieces) > 1 else [requests]
        if _questions(built[0]) == _questions(requests):
            pieces, built = [(start, end)], [requests]
        for piece, asked in zip(pieces, built, strict=True):
            yield Chunk(*piece, len(asked), sum(one.weight for one in asked))

    def _build(self, instrument: str, start: datetime, end: datetime) -> list[Request]:
        return self.provider.build(Query(self.dataset, (instrument,), self.interval, start, end))


def _questions(requests: Sequence[Request]) -> list[tuple[str, object]]:
    return [(one.path, one.params) for one in requests]


def cut(start: datetime, end: datetime, longest: timedelta) -> Iterator[Stretch]:
    """Yield `[start, end)` in adjoining pieces of that length; the last one may be shorter."""
    while start < end:
        past = min(start + longest, end)
        yield start, past
        start = past
