"""The farm from Python: fetch through it, read what it has stored, see how it is.

    from farm import Farm

    with Farm() as farm:
        farm.fetch("binance", "bars", ["BTC-USDT"], interval="1h", start="2024-01-01", end="2024-02-01")
        bars = farm.bars("binance", ["BTC-USDT"], interval="1h", start="2024-01-01").to_polars()

Deliberately not here: how rows are read (ingest/pipeline/read.py), calls are sent (tasks/by_hand.py) and a farm is kept
(local/kept.py); another program's way is the REST API. Where the servers are is this process's settings, as for every
part of the farm, unless an address is given. `as_of` of a read is a moment, and what was known then is read
(docs/operations.md says of what that is known). Invariant: a wrong request raises FixRequest (UnknownName with what is
near) before anything is sent, and TryAgain says what may work later.

This loads polars, which hangs children of a fork that comes after it: start processes with `spawn`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from functools import partial, wraps
from inspect import signature
from threading import Lock
from types import TracebackType
from typing import Any, Concatenate, NotRequired, ParamSpec, Self, TypedDict, TypeVar

from pydantic import ValidationError

from celeryconfig import LANES
from ingest import providers
from ingest.errors import BadData, FixRequest, TickfarmError
from ingest.market.records import Dataset
from ingest.market.times import parse_time
from ingest.pipeline.context import Context
from ingest.pipeline.coverage import SeriesCoverage, coverage
from ingest.pipeline.fallback import rank, ranked_rows
from ingest.pipeline.figures import FarmFigures, farm_figures
from ingest.pipeline.frame_gaps import gaps_of
from ingest.pipeline.health_figures import FarmReport, farm_report
from ingest.pipeline.read import find, stored, within
from ingest.pipeline.read_gaps import Gap
from ingest.pipeline.recent import Recent, recent
from ingest.pipeline.rows import Rows
from ingest.settings import Settings, home, settings
from local.kept import KeptFarm
from models.session import POOL_OVERFLOW, POOL_SIZE
from tasks.by_hand import WAIT_S, fetch_by_hand

__all__ = ["AsyncFarm", "Call", "Farm", "Gap", "Recent", "Rows"]

#: ISO text (no offset: UTC), a datetime with its zone, or a date (its midnight in UTC).
Moment = str | date | None
#: Calls of a batch that wait at the same time: more than the children of the lane they go to.
_AT_ONCE = 8
P = ParamSpec("P")
R = TypeVar("R")


class Call(TypedDict):
    """The arguments of one fetch."""

    provider: str
    dataset: str
    instruments: str | Sequence[str]
    interval: NotRequired[str | None]
    start: NotRequired[Moment]
    end: NotRequired[Moment]


def _reader(
    read: Callable[Concatenate[Farm, Dataset, P], Rows], dataset: Dataset, said: str
) -> Callable[Concatenate[Farm, P], Rows]:
    """Return `read` for one dataset: a method with its name, its signature and words of its own."""

    def rows(farm: Farm, /, *args: P.args, **kwargs: P.kwargs) -> Rows:
        return read(farm, dataset, *args, **kwargs)

    whole = signature(read)
    kept = [one for name, one in whole.parameters.items() if name != "dataset"]
    rows.__name__, rows.__qualname__, rows.__doc__ = dataset, f"Farm.{dataset}", said
    rows.__signature__ = whole.replace(parameters=kept)  # type: ignore[attr-defined]
    return rows


class Farm:
    """A client of the farm that this process's settings point at. Connects when it is first asked; close it.

    `url` is a PostgreSQL address in place of the settings' own: to read there; `redis_url`, of the same farm, to fetch
    and to see how it is. Safe from several threads.
    """

    def __init__(self, url: str | None = None, *, redis_url: str | None = None) -> None:
        #: A database of its own never goes with the Redis that is set, which may be another farm's.
        self._given = {} if url is None and redis_url is None else {"redis_url": redis_url}
        self._given |= {} if url is None else {"database_url": url}
        self._lock = Lock()
        self._opened: Context | None = None
        self._kept: KeptFarm | None = None

    def start(self, *, sandbox: bool = False) -> Self:
        """Start a farm on this machine and keep it, until `stop` or the end of this process; return this client.

        What `tickfarm up` starts: embedded servers where none are set, workers, beat, Flower; with `sandbox` the
        simulator in place of the providers. Raises FixRequest where a farm runs already, or can't start here.
        """
        if self._given:
            raise FixRequest("a farm is started on the servers that are set (DATABASE_URL, REDIS_URL): give no address")
        if self._kept is not None and self._kept.is_running:
            raise FixRequest("this client keeps a farm already: stop() it first")
        self.close()
        self._kept = KeptFarm(home(), sandbox=sandbox)
        self._kept.start()
        return self

    def stop(self) -> None:
        """Stop the farm that `start` started; workers finish what they do. Without one it does nothing."""
        self.close()
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.stop()
            settings.cache_clear()

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
        return fetch_by_hand(self._context(), provider, call, timeout_s=timeout_s)

    def fetch_batch(self, calls: Sequence[Call], *, timeout_s: float = WAIT_S) -> list[dict[str, Any] | TickfarmError]:
        """Fetch many at once; return their results in the order of the calls.

        What `fetch` would raise for one of them stands in its place, and the others go on. `timeout_s` is for each.
        """

        def one(call: Call) -> dict[str, Any] | TickfarmError:
            try:
                return self.fetch(**call, timeout_s=timeout_s)
            except TickfarmError as error:
                return error

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as threads:
            return list(threads.map(one, calls))

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
        strict: bool = False,
    ) -> Rows:
        """Return the stored bars that open in `[start, end)`; `last`: only that many, the newest, of each instrument.

        `final_only` leaves out bars that had not ended when they were observed; else `is_final` tells them apart.
        `as_of`: the final ones as they were known at that moment, whatever has been corrected since.
        `fallback` names the providers whose final bars stand where this one has none, the first choice first; a column
        `provider` then says whose each row is. Raises FixRequest where their prices are adjusted otherwise.
        What is missing of the range is in `gaps` of the result; with `strict` it raises BadData instead.
        """
        if isinstance(fallback, str):
            fallback = [fallback]
        first, *others = (providers.aliases().get(name, name) for name in (provider, *fallback))
        sessions = self._context().sessions
        with sessions() as session:
            wanted = find(session, first, "bars", _names(instruments), interval=interval)
            bounds = {"start": _moment(start), "end": _moment(end)}
            wanted = within(wanted, **bounds, last=last, final_only=final_only, as_of=_moment(as_of))
            if others:
                ranked = rank(session, first, wanted, others, interval=interval)
        frame = ranked_rows(sessions, ranked) if others else stored(sessions, wanted)
        gaps = gaps_of(sessions, first, wanted, interval, frame, datetime.now(UTC))
        if strict and gaps:
            raise BadData(_incomplete(gaps), rule="missing_rows", provider=first)
        return Rows("bars", frame, gaps)

    def _rows_of(
        self,
        dataset: Dataset,
        provider: str,
        instruments: str | Sequence[str],
        *,
        start: Moment = None,
        end: Moment = None,
        last: int | None = None,
        as_of: Moment = None,
    ) -> Rows:
        sessions = self._context().sessions
        with sessions() as session:
            name = providers.aliases().get(provider, provider)
            wanted = find(session, name, dataset, _names(instruments), interval=None)
            wanted = within(wanted, start=_moment(start), end=_moment(end), last=last, as_of=_moment(as_of))
        return Rows(dataset, stored(sessions, wanted))

    #: `last` of each: only that many, the newest, of each instrument. `as_of`: as they were known at that moment, which
    #: is not known of quotes and books (FixRequest).
    trades = _reader(_rows_of, "trades", "Return the stored trades of `[start, end)`, or the `last` of them.")
    quotes = _reader(_rows_of, "quotes", "Return the stored quotes of `[start, end)`, or the `last` of them.")
    books = _reader(_rows_of, "books", "Return the stored books of `[start, end)`, or the `last` of them.")
    news = _reader(_rows_of, "news", "Return the articles published in `[start, end)`, or the `last` of them.")
    observations = _reader(
        _rows_of,
        "observations",
        "Return the values of dates in `[start, end)`, every vintage, or the `last` of them.\n\n"
        "`as_of`: of each date the one vintage that was known at that moment.",
    )
    posts = _reader(_rows_of, "posts", "Return the stored posts of `[start, end)`, or the `last` of them.")
    actions = _reader(
        _rows_of, "actions", "Return the splits and dividends with an ex-date in `[start, end)`, or the `last` of them."
    )

    def recent(self, max_items: int = 100) -> list[Recent]:
        """Return what was stored last, over all series, the last observed first."""
        with self._context().sessions() as session:
            return recent(session, max_items)

    def coverage(self, *, provider: str | None = None, last: timedelta | None = None) -> list[SeriesCoverage]:
        """Return how much of each followed series is proven, of the `last` days where said. Changes nothing."""
        context = self._context()
        name = None if provider is None else providers.name_of(provider)
        with context.sessions() as session:
            found = coverage(session, context.settings, datetime.now(UTC), last=last)
        return [one for one in found if name in (None, one.provider)]

    def health(self) -> FarmReport:
        """Return how the farm and each provider is, by the last five minutes."""
        return farm_report(self._context(), LANES, datetime.now(UTC))

    def metrics(self) -> FarmFigures:
        """Return the farm's figures of the last five minutes, and whether each target that is set is met."""
        return farm_figures(self._context(), datetime.now(UTC))

    def close(self) -> None:
        """Close every connection. Asked again afterwards, it connects anew."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _context(self) -> Context:
        """Return what the calls work with, opened once: threads that ask at the same moment share it."""
        with self._lock:
            if self._opened is None:
                self._opened = Context(_settings_with(self._given), name="tickfarm client")
            config = self._opened.settings
            _ = config.database_url and self._opened.sessions, config.redis_url and self._opened.redis
            return self._opened


def _in_thread(call: Callable[Concatenate[Farm, P], R]) -> Callable[Concatenate[AsyncFarm, P], Awaitable[R]]:
    """Return the same call for who must not wait: it runs in a thread."""

    @wraps(call)
    async def run(farm: AsyncFarm, /, *args: P.args, **kwargs: P.kwargs) -> R:
        work = partial(call, farm._farm, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(farm._threads, work)

    return run


class AsyncFarm:
    """The same client for asyncio: each call is Farm's own, in one of as many threads as it has connections."""

    def __init__(self, url: str | None = None, *, redis_url: str | None = None) -> None:
        self._farm = Farm(url, redis_url=redis_url)
        self._threads = ThreadPoolExecutor(POOL_SIZE + POOL_OVERFLOW, thread_name_prefix="farm client")

    async def start(self, *, sandbox: bool = False) -> Self:
        """Start a farm on this machine and keep it, as Farm.start does; return this client."""
        await asyncio.get_running_loop().run_in_executor(self._threads, partial(self._farm.start, sandbox=sandbox))
        return self

    stop = _in_thread(Farm.stop)
    fetch = _in_thread(Farm.fetch)
    fetch_batch = _in_thread(Farm.fetch_batch)
    bars = _in_thread(Farm.bars)
    trades = _in_thread(Farm.trades)
    quotes = _in_thread(Farm.quotes)
    books = _in_thread(Farm.books)
    news = _in_thread(Farm.news)
    observations = _in_thread(Farm.observations)
    posts = _in_thread(Farm.posts)
    actions = _in_thread(Farm.actions)
    recent = _in_thread(Farm.recent)
    coverage = _in_thread(Farm.coverage)
    health = _in_thread(Farm.health)
    metrics = _in_thread(Farm.metrics)
    close = _in_thread(Farm.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


def _settings_with(given: Mapping[str, str | None]) -> Settings:
    """Return this process's settings, with the addresses that were given in place of its own."""
    found = settings()
    if not given:
        return found
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise FixRequest(f"{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from None


def _incomplete(gaps: Sequence[Gap]) -> str:
    first = gaps[0]
    missing = sum(gap.rows for gap in gaps)
    return (
        f"{missing:,} bars are missing in {len(gaps):,} gaps, the first of {first.instrument} from "
        f"{first.start.isoformat()} to {first.end.isoformat()}: fetch them, or read without strict and look at gaps"
    )


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
