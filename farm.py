"""The farm from Python: fetch through it, read what it has stored.

    from farm import Farm

    with Farm() as farm:
        farm.fetch("binance", "bars", ["BTC-USDT"], interval="1h", start="2024-01-01", end="2024-02-01")
        bars = farm.bars("binance", ["BTC-USDT"], interval="1h", start="2024-01-01").to_polars()

Deliberately not here: how rows are read (ingest/pipeline/read.py) and calls are sent (tasks/by_hand.py). Where the
servers are is this process's settings, as for every part of the farm. `as_of` of a read is a moment, and what was known
then is read (docs/operations.md says of what that is known). Invariant: a wrong request raises FixRequest
(UnknownName with what is near) before anything is sent, and TryAgain says what may work later.

This loads polars, which hangs children of a fork that comes after it: start processes with `spawn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from types import TracebackType
from typing import Any, Self

import polars as pl

from ingest import providers
from ingest.errors import FixRequest
from ingest.market.records import Dataset
from ingest.market.times import parse_time
from ingest.pipeline.context import Context
from ingest.pipeline.exact import typed
from ingest.pipeline.fallback import rank, ranked_rows
from ingest.pipeline.read import find, stored, within
from ingest.settings import settings
from tasks.by_hand import WAIT_S, fetch_by_hand

__all__ = ["Farm", "Rows"]

#: ISO text (no offset: UTC), a datetime with its zone, or a date (its midnight in UTC).
Moment = str | date | None


class Rows:
    """Rows as they are stored, oldest first, each instrument's together, in the order they were asked for."""

    def __init__(self, dataset: Dataset, frame: pl.DataFrame) -> None:
        self._dataset, self._frame = dataset, frame

    def __len__(self) -> int:
        return self._frame.height

    def __repr__(self) -> str:
        return f"<{len(self):,} {self._dataset}>"

    def to_polars(self, *, floats: bool = False) -> pl.DataFrame:
        """Return a frame. Numbers are Decimal(38, places) with every digit that is stored, or Float64.

        A column that needs more than 38 digits is text instead of decimals. A book's sides are lists, best level first.
        """
        return typed(self._frame, self._dataset, floats=floats)

    def to_pandas(self, *, floats: bool = False) -> Any:
        """Return a pandas DataFrame: `decimal.Decimal` objects with every digit, or float64.

        Raises FixRequest without pandas and pyarrow.
        """
        frame = self.to_polars(floats=floats)
        try:
            return frame.to_pandas()
        except ModuleNotFoundError as missing:
            raise FixRequest("to_pandas needs pandas and pyarrow: pip install 'tickfarm[pandas]'") from missing


class Farm:
    """A client of the farm that this process's settings point at. Connects when it is first asked; close it."""

    def __init__(self) -> None:
        self._context = Context(settings(), name="tickfarm client")

    def fetch(
        self,
        provider: str,
        dataset: str,
        instruments: str | Sequence[str],
        *,
        interval: str | None = None,
        start: Moment = None,
        end: Moment = None,
        timeout_s: float = WAIT_S,
    ) -> dict[str, Any]:
        """Fetch once through the farm, wait, and return the task's result: `state`, and counts where it is `done`.

        Without a start it fetches the newest rows. A provider that says "later" is no error: `state` is `deferred`,
        and the farm fetches it then. Raises FixRequest for what can't work and TryAgain where nobody works, or no
        result came within `timeout_s` (the call goes on).
        """
        call = {
            "dataset": dataset,
            "instruments": _names(instruments),
            "interval": interval,
            "start": _text(start),
            "end": _text(end),
        }
        return fetch_by_hand(self._context, provider, call, timeout_s=timeout_s)

    def bars(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        interval: str,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        final_only: bool = False,
        as_of: Moment = None,
        fallback: Sequence[str] = (),
    ) -> Rows:
        """Return the stored bars that open in `[start, end)`; `last`: only that many, the newest, of each instrument.

        `final_only` leaves out bars that had not ended when they were observed; else `is_final` tells them apart.
        `as_of`: the final ones as they were known at that moment, whatever has been corrected since.
        `fallback` names the providers whose final bars stand where this one has none, the first choice first; a column
        `provider` then says whose each row is. Raises FixRequest where their prices are adjusted otherwise.
        """
        if isinstance(fallback, str):
            fallback = [fallback]
        window = (start, end, last)
        return self._read(
            provider, "bars", instruments, interval, *window, final_only=final_only, as_of=as_of, fallback=fallback
        )

    def trades(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        as_of: Moment = None,
    ) -> Rows:
        """Return the stored trades of `[start, end)`; `last`: only that many, the newest, of each instrument."""
        return self._read(provider, "trades", instruments, None, start, end, last, as_of=as_of)

    def quotes(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
    ) -> Rows:
        """Return the stored quotes of `[start, end)`; `last`: only that many, the newest, of each instrument."""
        return self._read(provider, "quotes", instruments, None, start, end, last)

    def books(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
    ) -> Rows:
        """Return the stored books of `[start, end)`; `last`: only that many, the newest, of each instrument."""
        return self._read(provider, "books", instruments, None, start, end, last)

    def news(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        as_of: Moment = None,
    ) -> Rows:
        """Return the stored articles that were published in `[start, end)`; `last`: only the newest of each."""
        return self._read(provider, "news", instruments, None, start, end, last, as_of=as_of)

    def observations(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        as_of: Moment = None,
    ) -> Rows:
        """Return the stored values of dates in `[start, end)`, every vintage; `last`: only the newest of each.

        `as_of`: of each date the one vintage that was known at that moment.
        """
        return self._read(provider, "observations", instruments, None, start, end, last, as_of=as_of)

    def posts(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        as_of: Moment = None,
    ) -> Rows:
        """Return the stored posts of `[start, end)`; `last`: only the newest of each."""
        return self._read(provider, "posts", instruments, None, start, end, last, as_of=as_of)

    def actions(
        self,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        as_of: Moment = None,
    ) -> Rows:
        """Return the stored splits and dividends with an ex-date in `[start, end)`; `last`: only the newest of each."""
        return self._read(provider, "actions", instruments, None, start, end, last, as_of=as_of)

    def close(self) -> None:
        """Close every connection. Asked again afterwards, it connects anew."""
        self._context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _read(
        self,
        provider: str,
        dataset: Dataset,
        instruments: str | Sequence[str],
        interval: str | None,
        start: Moment,
        end: Moment,
        last: int | None,
        *,
        final_only: bool = False,
        as_of: Moment = None,
        fallback: Sequence[str] = (),
    ) -> Rows:
        moments = {"start": _moment(start), "end": _moment(end), "as_of": _moment(as_of)}
        first, *others = (providers.aliases().get(name, name) for name in (provider, *fallback))
        sessions = self._context.sessions
        with sessions() as session:
            wanted = find(session, first, dataset, _names(instruments), interval=interval)
            wanted = within(wanted, **moments, last=last, final_only=final_only)
            if others:
                ranked = rank(session, first, wanted, others, interval=interval)
        return Rows(dataset, ranked_rows(sessions, ranked) if others else stored(sessions, wanted))


def _names(instruments: str | Sequence[str]) -> list[str]:
    return [instruments] if isinstance(instruments, str) else list(instruments)


def _text(moment: Moment) -> str | None:
    found = _moment(moment)
    return None if found is None else found.isoformat()


def _moment(moment: Moment) -> datetime | None:
    if moment is None:
        return None
    if isinstance(moment, str):
        return parse_time(moment)
    if not isinstance(moment, datetime):
        return datetime.combine(moment, time.min, tzinfo=UTC)
    if moment.tzinfo is None:
        raise FixRequest(f"a datetime needs its zone, given: {moment!r}; text without one means UTC")
    return moment
