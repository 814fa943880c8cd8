"""Pages: so many rows at a time, each page behind the last row of the one before.

Deliberately not here: how a place is told to who reads on (dashboard/api/asked.py). Invariant: a row that is there
from the first page to the last comes exactly once, whatever is stored meanwhile. Cost: twice a page's rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import polars as pl
from sqlalchemy.orm import Session, sessionmaker

from ingest.errors import FixRequest
from ingest.market.records import KEY_COLUMNS, Dataset
from ingest.pipeline.fallback import Ranked, no_ranked_rows, ranked_chunks
from ingest.pipeline.read import Place, Wanted, chunks, no_rows

#: What may be asked for: one provider's rows, or bars of several.
Asked = Wanted | Ranked


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and where the next page goes on; None: these were the last."""

    rows: pl.DataFrame
    end: Place | None


def dataset_of(asked: Asked) -> Dataset:
    """Return whose rows are asked for."""
    return "bars" if isinstance(asked, Ranked) else asked.dataset


def frames_of(sessions: sessionmaker[Session], asked: Asked) -> tuple[Iterator[pl.DataFrame], pl.DataFrame]:
    """Return the frames of all the rows, and one of their columns without any."""
    if isinstance(asked, Ranked):
        return ranked_chunks(sessions, asked), no_ranked_rows()
    return chunks(sessions, asked), no_rows(asked.dataset)


def page_of(sessions: sessionmaker[Session], asked: Asked, rows: int, place: Place | None = None) -> Page:
    """Return the first `rows` rows behind a place. Raises FixRequest for a place in an instrument not asked for.

    The newest `last` of an instrument are counted when its first row is read: what comes later comes in addition.
    """
    cut = _cut(asked, rows, place)
    frames, empty = frames_of(sessions, cut)
    frame = pl.concat([empty, *_until(frames, rows + 1)])
    if frame.height <= rows:
        return Page(frame, None)
    frame = frame.head(rows)
    [*_, instrument], key = frame["instrument"].tail(1), ("ts", *KEY_COLUMNS[dataset_of(asked)])
    return Page(frame, Place(instrument, frame.select(key).row(-1)))


def _cut(asked: Asked, rows: int, place: Place | None) -> Asked:
    if isinstance(asked, Ranked):
        return replace(asked, wanted=[_of_one(one, rows, place) for one in asked.wanted])
    return _of_one(asked, rows, place)


def _of_one(wanted: Wanted, rows: int, place: Place | None) -> Wanted:
    if place is None:
        return replace(wanted, most_rows=rows + 1)
    names = list(wanted.series)
    if place.instrument not in names:
        raise FixRequest(f"the cursor is of {place.instrument}, which is not asked for")
    left = {name: wanted.series[name] for name in names[names.index(place.instrument) :]}
    return replace(wanted, most_rows=rows + 1, series=left, behind=place)


def _until(frames: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    seen = 0
    for frame in frames:
        yield frame
        seen += frame.height
        if seen >= rows:
            return
