"""Follow: which series the farm keeps, and the history it owes for them as jobs.

Invariant: history is cut along a fixed grid of time, so the same stretch is the same job whoever asks for it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import Session

from ingest.errors import FixRequest
from ingest.market.intervals import bar_open, seconds_of
from ingest.market.records import Dataset
from ingest.market.symbols import validate
from ingest.pipeline.calls import WITHOUT_HISTORY, check_dataset, check_interval, first_in_reach
from ingest.pipeline.entries import FETCH_PREFIX
from ingest.pipeline.jobs import NewJob, insert_jobs
from ingest.providers.contract import Facts, Provider, Query, adjustment_of
from models import Series

#: Rows one history job brings at most: a few pages, so that a batch fits in memory and a lost one is soon repeated.
JOB_ROWS = 5_000
#: The same for what has no interval: an hour of a busy pair's trades, a week's articles, a day's posts.
JOB_SPAN: Mapping[Dataset, timedelta] = {
    "trades": timedelta(hours=1),
    "news": timedelta(days=7),
    "posts": timedelta(days=1),
    "observations": timedelta(days=3650),
    "actions": timedelta(days=3650),
}
#: begins the key of a job of history that was ordered
HISTORY_PREFIX = "history:"
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def follow(
    session: Session,
    provider: Provider,
    dataset: Dataset,
    instruments: Sequence[str],
    *,
    interval: str | None,
    since: datetime | None,
    now: datetime,
) -> list[str]:
    """Follow these series from now on and return their instruments; an earlier `since` extends a series' history.

    Their newest rows are owed at once; from then on the schedule's next slot takes them along.

    Raises FixRequest (UnknownName) before anything is written when the provider does not have one of them.
    """
    names = check_names(provider, dataset, instruments, interval)
    series = {
        "provider": provider.facts.name,
        "dataset": dataset,
        "interval": interval or "",
        "followed": True,
        "since": since,
    }
    is_bars = dataset == "bars"
    rows = [
        series | {"instrument": name, "adjustment": adjustment_of(provider.facts, name) if is_bars else None}
        for name in sorted(names)
    ]
    session.execute(_followed_anew(), rows)
    insert_jobs(session, [_first_poll(provider.facts, dataset, names, interval, now)])
    return names


def _followed_anew() -> Insert:
    row = insert(Series)
    return row.on_conflict_do_update(
        index_elements=["provider", "dataset", "instrument", "interval"],
        # least() ignores NULL: following again without a date keeps the one that is there.
        set_={
            "followed": True,
            "refused": None,
            "until": None,
            "renamed_to": None,
            "since": func.least(Series.since, row.excluded.since),
            "adjustment": row.excluded.adjustment,
        },
    )


def _first_poll(facts: Facts, dataset: Dataset, names: list[str], interval: str | None, now: datetime) -> NewJob:
    return NewJob(
        key=f"first:{facts.name}:{dataset}:{interval or ''}:{now.isoformat()}",
        task=f"{FETCH_PREFIX}{facts.name}",
        lane="live",
        kwargs={"dataset": dataset, "instruments": names, "interval": interval},
        due_at=now,
        priority=2,
    )


def unfollow(
    session: Session, facts: Facts, dataset: Dataset, instruments: Sequence[str], *, interval: str | None
) -> int:
    """Stop following these series; what is stored stays. Return how many were followed."""
    check_dataset(facts, dataset)
    interval = check_interval(facts, dataset, interval)
    statement = (
        update(Series)
        .where(
            Series.provider == facts.name,
            Series.dataset == dataset,
            Series.interval == (interval or ""),
            Series.instrument.in_([validate(one) for one in instruments]),
            Series.followed,
        )
        .values(followed=False)
        .returning(Series.id)
    )
    return len(session.scalars(statement).all())


def plan_history(
    session: Session,
    provider: Provider,
    instruments: Sequence[str],
    *,
    dataset: Dataset = "bars",
    interval: str | None = None,
    start: datetime,
    end: datetime,
    now: datetime,
) -> int:
    """Owe the rows of `[start, end)` as jobs on the backfill lane, newest first; return how many were not owed yet.

    A stretch that ends in the future is cut where the bar of `now` opens: the live lane follows from there. One that
    begins before the provider's reach is cut there. Planning again owes only what is new; a piece of the grid that
    `start` or `now` cut short is owed again once it is longer.
    """
    if min(end, now) <= start:
        raise FixRequest(f"end must be after start, given: {start.isoformat()} .. {min(end, now).isoformat()}")
    facts = provider.facts
    end = min(end, now if interval is None else bar_open(now, interval))
    start = max(start, first_in_reach(facts, dataset, interval, now) or start)
    step = JOB_SPAN[dataset] if interval is None else timedelta(seconds=seconds_of(interval)) * JOB_ROWS
    owed = []
    for name in check_names(provider, dataset, instruments, interval):
        at = _EPOCH + (start - _EPOCH) // step * step
        while at < end:
            call = {"dataset": dataset, "instruments": [name], "interval": interval}
            owed.append(_history_job(facts, call, max(at, start), min(at + step, end), now))
            at += step
    owed.sort(key=lambda job: str(job.kwargs["start"]), reverse=True)
    return insert_jobs(session, [replace(job, due_at=now + at * _MICROSECOND) for at, job in enumerate(owed)])


def check_names(provider: Provider, dataset: Dataset, instruments: Sequence[str], interval: str | None) -> list[str]:
    """Return the instruments, each once, as the provider takes them. Raises FixRequest (UnknownName)."""
    check_dataset(provider.facts, dataset)
    interval = check_interval(provider.facts, dataset, interval)
    names = list(dict.fromkeys(validate(one) for one in instruments))
    if not names:
        raise FixRequest("no instrument is given", provider=provider.facts.name)
    probe = datetime(2020, 1, 1, tzinfo=UTC)
    window = (None, None) if dataset in WITHOUT_HISTORY else (probe, probe + timedelta(days=1))
    provider.build(Query(dataset, tuple(names), interval, *window))
    return names


def _history_job(facts: Facts, call: dict[str, Any], start: datetime, end: datetime, now: datetime) -> NewJob:
    stretch = f"{start.isoformat()}..{end.isoformat()}"
    [name] = call["instruments"]
    return NewJob(
        key=f"{HISTORY_PREFIX}{facts.name}:{name}:{call['interval'] or call['dataset']}:{stretch}",
        task=f"{FETCH_PREFIX}{facts.name}",
        lane="backfill",
        kwargs={**call, "start": start.isoformat(), "end": end.isoformat()},
        due_at=now,
        priority=4,
    )
