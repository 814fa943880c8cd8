"""Pace: what the schedule asks of each provider's limits, and how fast its entries could be at most.

Reckoned, not measured: the requests of one slot, as the provider's file builds them, times the slots in a limit's
window. Pages after the first are not known before they are there and not counted, nor is history. Pure but for its
arguments. Deliberately not here: keeping to the limits (the gate), which it does whatever the schedule asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ingest import providers
from ingest.errors import FixRequest
from ingest.pipeline.calls import WITHOUT_HISTORY, check_call
from ingest.pipeline.entries import Entry, duration_s
from ingest.wire import Limit, Request

#: Cron's slots are counted over this: every day of the week once.
_WEEK = timedelta(days=7)
_WEEK_S = 604_800.0


@dataclass(frozen=True, slots=True)
class Load:
    """What entries ask of one limit: `asked` in its window on average, and by entry."""

    provider: str
    limit: Limit
    by_entry: Mapping[str, float]

    @property
    def asked(self) -> float:
        """Return what all of them ask."""
        return sum(self.by_entry.values())

    @property
    def share(self) -> float:
        """Return that as a share of what is allowed; above 1 slots come late or are skipped."""
        return self.asked / self.limit.amount


@dataclass(frozen=True, slots=True)
class TooFast:
    """An entry of a provider whose limit is passed, and the shortest period with which all of its entries fit."""

    entry: str
    period_s: float
    fastest_s: float
    limit: Limit


def loads(
    entries: Iterable[Entry],
    instruments_of: Callable[[str, str, str], Sequence[str]],
    limits_of: Callable[[str], Sequence[Limit]],
    now: datetime,
) -> list[Load]:
    """Return what these entries ask of each limit of their providers, by provider.

    `instruments_of(provider, dataset, interval)` are the followed ones, `limits_of(provider)` what it allows now.
    """
    asked: dict[str, dict[str, tuple[str, float, float]]] = {}
    for entry in entries:
        if entry.provider is None or not entry.spec.enabled:
            continue
        dataset, requests = _requests(entry, instruments_of, now)
        slots_per_s = _slots(entry, now) / _WEEK_S
        weight = sum(one.weight for one in requests) * slots_per_s
        asked.setdefault(entry.provider, {})[entry.name] = (dataset, len(requests) * slots_per_s, weight)
    return [
        Load(name, limit, _by_entry(limit, asked[name]))
        for name in sorted(asked)
        for limit in limits_of(name)
        if not limit.datasets or any(dataset in limit.datasets for dataset, *_ in asked[name].values())
    ]


def too_fast(found: Iterable[Load], entries: Iterable[Entry]) -> list[TooFast]:
    """Return the entries with a period that ask too much together, each with the period that would do, if all slow down
    alike.
    """
    periods = {entry.name: period_s(entry) for entry in entries}
    worst: dict[str, TooFast] = {}
    for load in found:
        for name in load.by_entry if load.share > 1 else ():
            period = periods[name]
            if period is not None and load.by_entry[name] > 0:
                slowed = TooFast(name, period, period * load.share, load.limit)
                worst[name] = max(slowed, worst.get(name, slowed), key=lambda one: one.fastest_s)
    return [worst[name] for name in sorted(worst)]


def period_s(entry: Entry) -> float | None:
    """Return an entry's period; None for cron's fields."""
    try:
        return duration_s(entry.spec.schedule)
    except ValueError:
        return None


def _by_entry(limit: Limit, asked: Mapping[str, tuple[str, float, float]]) -> dict[str, float]:
    return {
        name: (weight if limit.unit == "weight" else requests) * limit.per_s
        for name, (dataset, requests, weight) in asked.items()
        if not limit.datasets or dataset in limit.datasets
    }


def _requests(
    entry: Entry, instruments_of: Callable[[str, str, str], Sequence[str]], now: datetime
) -> tuple[str, list[Request]]:
    """Return the dataset of an entry and the first requests of a slot of it; none where nothing is followed."""
    provider = providers.get(entry.provider or "")
    call = check_call(provider.facts, entry.spec.kwargs)
    instruments = call.instruments or tuple(instruments_of(provider.facts.name, call.dataset, call.interval or ""))
    if not instruments:
        return call.dataset, []
    query = call.query(instruments)
    start = now - timedelta(seconds=duration_s(entry.spec.window)) if entry.spec.window else query.start
    end = query.end or (None if call.dataset in ("trades", *WITHOUT_HISTORY) and start is None else now)
    try:
        return call.dataset, provider.build(replace(query, start=start, end=end))
    except FixRequest:  # an instrument the provider can't have: it is refused when it is asked for
        return call.dataset, []


def _slots(entry: Entry, now: datetime) -> float:
    """Return how many slots a week has."""
    period = period_s(entry)
    if period is not None:
        return _WEEK_S / period
    count, at = 0, entry.next_slot(now)
    while at < now + _WEEK:
        count, at = count + 1, entry.next_slot(at)
    return float(count)
