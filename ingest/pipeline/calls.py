"""A fetch call: what a person, the schedule or a job asks of one provider, checked before anything is enqueued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import bar_open, seconds_of, unknown_interval
from ingest.market.records import Dataset
from ingest.market.symbols import validate
from ingest.market.times import parse_time
from ingest.payloads import request_from
from ingest.providers.contract import Facts, Query
from ingest.wire import Request

#: What is only ever seen as it is now.
WITHOUT_HISTORY: tuple[Dataset, ...] = ("quotes", "books")


@dataclass(frozen=True, slots=True)
class FetchCall:
    """A checked call. No instruments: those that are followed. `requests`: exactly these, left over from another job.

    With neither `start` nor `requests` it is a live poll for the newest rows.
    """

    dataset: Dataset
    instruments: tuple[str, ...]
    interval: str | None
    start: datetime | None
    end: datetime | None
    requests: tuple[Request, ...] = ()

    def query(self, instruments: Sequence[str] | None = None, *, has_key: bool = False) -> Query:
        """Return the query the provider is asked, with its key or without."""
        chosen = self.instruments if instruments is None else tuple(instruments)
        return Query(self.dataset, chosen, self.interval, self.start, self.end, has_key)


def check_call(facts: Facts, kwargs: Mapping[str, Any]) -> FetchCall:
    """Return the call these JSON arguments make, or raise FixRequest saying what was given and what is accepted."""
    dataset = check_dataset(facts, kwargs.get("dataset"))
    instruments = kwargs.get("instruments") or ()
    if isinstance(instruments, str) or not all(isinstance(one, str) for one in instruments):
        raise FixRequest(f"instruments must be a list of names, given: {instruments!r}", provider=facts.name)
    interval = check_interval(facts, dataset, kwargs.get("interval"))
    start, end = (_moment(kwargs.get(name)) for name in ("start", "end"))
    if start is not None and dataset in WITHOUT_HISTORY:
        raise FixRequest(f"{dataset} have no history: they are polled, so leave start and end out", provider=facts.name)
    if end is not None and start is None:
        raise FixRequest("an end needs a start", provider=facts.name)
    if start is not None and end is not None and end <= start:
        raise FixRequest(f"end must be after start, given: {start.isoformat()} .. {end.isoformat()}")
    return FetchCall(
        dataset=dataset,
        instruments=tuple(validate(one) for one in instruments),
        interval=interval,
        start=start,
        end=end,
        requests=tuple(request_from(one) for one in kwargs.get("requests") or ()),
    )


def first_in_reach(facts: Facts, dataset: Dataset, interval: str | None, now: datetime) -> datetime | None:
    """Return the oldest moment the provider can be asked for at `now`; None where its whole history can be."""
    firsts = []
    if interval is not None and facts.reach_bars is not None:
        firsts.append(bar_open(now, interval) - facts.reach_bars * timedelta(seconds=seconds_of(interval)))
    days = facts.reach_days.get(interval or dataset)
    if days is not None:
        firsts.append(now - timedelta(days=days))
    return max(firsts, default=None)


def within_reach(facts: Facts, call: FetchCall, now: datetime) -> FetchCall:
    """Return the call cut to what the provider can be asked for. Raises FixRequest when that is nothing of it."""
    first = first_in_reach(facts, call.dataset, call.interval, now)
    if first is None or call.start is None or call.start >= first:
        return call
    if call.end is not None and call.end <= first:
        said = f"{reach_in_words(facts, call.dataset, call.interval)} from {first.isoformat()} on"
        raise FixRequest(f"{said}; given: {call.start.isoformat()} .. {call.end.isoformat()}", provider=facts.name)
    return replace(call, start=first)


def reach_in_words(facts: Facts, dataset: Dataset, interval: str | None) -> str:
    """Return how far back the provider can be asked, for a message that goes on with `from .. on`."""
    if interval is not None and facts.reach_bars is not None:
        return f"{facts.name} has only its newest {facts.reach_bars} bars: {interval}"
    what = dataset if interval is None else f"{interval} {dataset}"
    return f"{facts.name} has {what} of the last {facts.reach_days[interval or dataset]} days only:"


def check_dataset(facts: Facts, dataset: object) -> Dataset:
    """Return the dataset if the provider has it. Raises UnknownName, which lists those it has."""
    if dataset not in facts.datasets:
        raise UnknownName("dataset", str(dataset), facts.datasets, provider=facts.name)
    return dataset


def check_interval(facts: Facts, dataset: Dataset, interval: str | None) -> str | None:
    """Return the interval if the provider has it for that dataset; bars need one, other datasets have none."""
    if dataset != "bars":
        if interval:
            raise FixRequest(f"{dataset} have no interval, given: {interval!r}", provider=facts.name)
        return None
    if interval is None:
        raise FixRequest(f"bars need an interval; accepted: {', '.join(facts.intervals)}", provider=facts.name)
    if interval not in facts.intervals:
        raise unknown_interval(str(interval), facts.intervals, provider=facts.name)
    return interval


def _moment(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    return parse_time(str(value))
