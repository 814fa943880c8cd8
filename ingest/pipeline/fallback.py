"""Fallback: one provider's bars, and where it has none that is final, those of the providers that are named after it.

Only for who asks for it. A frame is that of `read` with a column `provider` behind `instrument`. Deliberately not here:
how each provider's rows are read (read). Invariant: a final bar is never replaced; a bar that was still forming when it
was last seen gives way to another provider's final one; and no bar is made of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from ingest.errors import FixRequest
from ingest.market.reconcile import same_adjustment
from ingest.pipeline.read import Wanted, chunks, find, no_rows
from models import Series

_IN_WORDS = {"none": "raw", "splits": "adjusted for splits", "all": "adjusted for splits and dividends"}


@dataclass(frozen=True, slots=True)
class Ranked:
    """The same bars of several providers, the first choice first."""

    providers: Sequence[str]
    wanted: Sequence[Wanted]

    @property
    def last(self) -> int | None:
        """Return how many of the newest rows are wanted; None: all."""
        return self.wanted[0].last

    def goes_on(self, instrument: str) -> bool:
        """Say whether the read goes on within this instrument."""
        behind = self.wanted[0].behind
        return behind is not None and behind.instrument == instrument

    def newest(self, last: int) -> Ranked:
        """Return the same, cut to so many of the newest rows."""
        return Ranked(self.providers, [replace(one, last=last) for one in self.wanted])


def rank(session: Session, first: str, wanted: Wanted, fallback: Sequence[str], *, interval: str | None) -> Ranked:
    """Return the bars to read of the provider and of those that may stand in for it, in the window of `wanted`.

    Raises FixRequest where a provider is named twice, or where different things are worked into two providers' prices,
    and what `find` raises where nothing is stored of one.
    """
    if wanted.dataset != "bars":
        raise FixRequest(f"only bars have a fallback, not {wanted.dataset}", provider=first)
    names = [first, *fallback]
    for name in fallback:
        if names.count(name) > 1:
            raise FixRequest(f"{name} is named twice: a fallback is another provider", provider=name)
    found = [wanted]
    for name in fallback:
        series = find(session, name, wanted.dataset, list(wanted.series), interval=interval).series
        found.append(replace(wanted, series=series, final_only=True))
    _check_adjustments(session, names, found)
    return Ranked(names, found)


def _check_adjustments(session: Session, names: Sequence[str], found: Sequence[Wanted]) -> None:
    ids = [series_id for one in found for series_id in one.series.values()]
    rows = session.execute(select(Series.id, Series.adjustment).where(Series.id.in_(ids)))
    known = {row.id: row.adjustment for row in rows}
    for instrument, series_id in found[0].series.items():
        ours = known[series_id]
        for name, one in zip(names[1:], found[1:], strict=True):
            theirs = known[one.series[instrument]]
            if not same_adjustment(instrument, ours, theirs):
                raise FixRequest(
                    f"{name}'s bars of {instrument} are {_told(theirs)} and {names[0]}'s are {_told(ours)}:"
                    " one can't stand in for the other",
                    provider=name,
                    instrument=instrument,
                )


def _told(adjustment: str | None) -> str:
    return "of an unknown adjustment" if adjustment is None else _IN_WORDS.get(adjustment, adjustment)


def no_ranked_rows() -> pl.DataFrame:
    """Return a frame of the columns without rows."""
    return _named(no_rows("bars"), "")


def ranked_rows(sessions: sessionmaker[Session], ranked: Ranked) -> pl.DataFrame:
    """Return all the rows, as `read.stored` does."""
    return pl.concat([no_ranked_rows(), *ranked_chunks(sessions, ranked)])


def ranked_chunks(sessions: sessionmaker[Session], ranked: Ranked) -> Iterator[pl.DataFrame]:
    """Yield the rows as `read.chunks` does, in frames of some thousand rows a provider, an instrument after the other.

    `last` counts the bars that are yielded: the newest so many of each provider hold them all.
    """
    for instrument in ranked.wanted[0].series:
        streams = [
            _stream(sessions, replace(one, series={instrument: one.series[instrument]}), name)
            for name, one in zip(ranked.providers, ranked.wanted, strict=True)
        ]
        merged = _merged(streams, ranked.providers)
        if ranked.last is None or ranked.goes_on(instrument):
            yield from merged
        elif frames := list(merged):
            yield pl.concat(frames).tail(ranked.last)


def _stream(sessions: sessionmaker[Session], wanted: Wanted, provider: str) -> Iterator[pl.DataFrame]:
    for frame in chunks(sessions, wanted):
        yield _named(frame, provider)


def _named(frame: pl.DataFrame, provider: str) -> pl.DataFrame:
    return frame.select("instrument", pl.lit(provider).alias("provider"), pl.exclude("instrument"))


def _merged(streams: Sequence[Iterator[pl.DataFrame]], providers: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Merge streams that are each in the order of time: of each moment the best row."""
    rest = [next(stream, None) for stream in streams]
    while any(frame is not None for frame in rest):
        # Up to where every stream that goes on is known.
        until = min(frame["ts"][-1] for frame in rest if frame is not None)
        ready = [frame.filter(pl.col("ts") <= until) for frame in rest if frame is not None]
        yield _best(pl.concat(ready), providers)
        for number, frame in enumerate(rest):
            if frame is not None:
                left = frame.filter(pl.col("ts") > until)
                rest[number] = left if left.height else next(streams[number], None)


def _best(frame: pl.DataFrame, providers: Sequence[str]) -> pl.DataFrame:
    order = pl.Enum(list(providers))
    ordered = frame.sort("ts", ~pl.col("is_final"), pl.col("provider").cast(order))
    return ordered.unique("ts", keep="first", maintain_order=True)
