"""Plan: what a backfill would take, before anything starts.

Deliberately not here: owing it (backfill), what is wanted of a series (backfill_days), how it is cut (backfill_chunks).
Invariant: it changes nothing, and sends nothing. It holds one series' days at a time, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from ingest.errors import FixRequest, UnknownName
from ingest.market.intervals import bar_open, first_open
from ingest.market.records import Dataset
from ingest.pipeline.backfill_chunks import Chunk, Cutter
from ingest.pipeline.backfill_cost import Cost, cost_of
from ingest.pipeline.backfill_days import MODES, Days, Mode, Wanted, promises_of
from ingest.pipeline.calls import WITHOUT_HISTORY, check_dataset, check_interval, first_in_reach, reach_in_words
from ingest.pipeline.credentials import keys_of
from ingest.pipeline.follow import check_names
from ingest.pipeline.gaps import PROVEN_BY_DAY, settle
from ingest.pipeline.gaps_lookback import check_since
from ingest.pipeline.quota import used_of
from ingest.pipeline.terms import terms_of
from ingest.providers.contract import Facts, Provider
from ingest.settings import Settings
from ingest.wire import Limit
from models import LedgerDay, Series

#: Bytes a row of each table takes with its index, where too few are stored to measure it. Measured in PostgreSQL 18:
#: `pg_total_relation_size` over the number of rows, 200,000 of each with prices and sizes of eight decimals.
ROW_BYTES: Mapping[str, int] = {"bars": 181, "trades": 134}
#: What a row of any other dataset takes, our guess: a text of a few hundred letters, or a few numbers.
_OTHER_ROW_BYTES = 500
#: Rows after which the tables themselves say it.
_ENOUGH_ROWS = 100_000
_SIZE = text("""
    SELECT sum(pg_total_relation_size(relid))::bigint AS bytes, sum(greatest(reltuples, 0))::bigint AS rows
    FROM pg_partition_tree(CAST(:table AS regclass)) JOIN pg_class ON pg_class.oid = relid WHERE isleaf
""")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a backfill is asked to bring: `[start, end)` of these series. Made by `check_ask`."""

    provider: Provider
    dataset: Dataset
    instruments: Sequence[str]
    interval: str | None
    start: datetime
    end: datetime
    mode: Mode = "missing"


@dataclass(slots=True)
class Plan:
    """What it would take. `rows`, and so `disk_bytes`, is None where nobody knows it.

    `days` is how many series-days lie in the window whole, of which `missing`, `suspect` and `verified` are so already.
    `shared_jobs` are others' that bring a part of it. `is_least`: pages that only answers tell of come on top.
    """

    days: int = 0
    days_missing: int = 0
    days_suspect: int = 0
    days_verified: int = 0
    days_unavailable: int = 0
    jobs: int = 0
    shared_jobs: int = 0
    requests: int = 0
    weight: int = 0
    is_least: bool = False
    rows: int | None = None
    row_bytes: int = 0
    is_measured: bool = False
    cost: Cost = field(default_factory=Cost)

    @property
    def disk_bytes(self) -> int | None:
        """Return the disk that the rows take."""
        return None if self.rows is None else self.rows * self.row_bytes


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What is owed of a series: chunks of what is missing, and of what is suspect."""

    wanted: Wanted
    chunks: Sequence[Chunk]
    ill: Sequence[Chunk]


def check_ask(
    config: Settings,
    provider: Provider,
    dataset: str,
    instruments: Sequence[str],
    *,
    interval: str | None,
    start: datetime,
    end: datetime,
    mode: str,
    now: datetime,
) -> Ask:
    """Return the ask with its window cut to what has settled, on the grid of bars. Raises FixRequest for what can't be.

    What lies beyond the provider's reach is cut off, unless it is all.
    """
    facts = provider.facts
    checked = check_dataset(facts, dataset)
    interval = check_interval(facts, checked, interval)
    if checked in WITHOUT_HISTORY:
        raise FixRequest(f"{checked} have no history: they are only ever seen as they are now", provider=facts.name)
    if mode not in MODES:
        raise UnknownName("mode", mode, MODES)
    names = check_names(provider, checked, instruments, interval)
    check_since(config, checked, start, now, option="--start")
    first, settled = first_in_reach(facts, checked, interval, now), settled_by(facts, interval, now)
    begins, ends = max(start, first or start), min(end, settled)
    if interval is not None:
        begins, ends = first_open(begins, interval), first_open(ends, interval)
    if ends <= begins:
        said = f"nothing to ask for from {start.isoformat()} to {end.isoformat()}"
        why = f"; {reach_in_words(facts, checked, interval)} from {first:%F %R} on" if first and end <= first else ""
        raise FixRequest(f"{said}: the end must lie after the start, and that in the past{why}", provider=facts.name)
    return Ask(provider, checked, tuple(names), interval, begins, ends, mode)


def settled_by(facts: Facts, interval: str | None, now: datetime) -> datetime:
    """Return up to when rows stay as they are."""
    until = now.astimezone(UTC) - timedelta(seconds=facts.settle_s + facts.lag_s)
    return until if interval is None else bar_open(until, interval)


def plan(session: Session, config: Settings, ask: Ask, now: datetime) -> Plan:
    """Return what the ask would take now."""
    found = Plan(is_least=ask.dataset != "bars", rows=0 if ask.dataset == "bars" else None)
    shared: set[int] = set()
    for one in each_series(session, ask, now):
        add(found, one)
        shared |= one.wanted.shared
    found.shared_jobs = len(shared)
    complete(session, config, ask, found, now)
    return found


def each_series(session: Session, ask: Ask, now: datetime, *, settles: bool = False) -> Iterator[SeriesPlan]:
    """Yield what is owed of each series, one by one. `settles`: days that prove to be whole are noted in the ledger."""
    facts, interval = ask.provider.facts, ask.interval
    cutter = Cutter(ask.provider, ask.dataset, interval)
    days = Days(
        facts,
        ask.dataset,
        interval,
        ask.start,
        ask.end,
        first_in_reach(facts, ask.dataset, interval, now),
        settled_by(facts, interval, now),
        cutter.page,
        ask.mode
        if ask.dataset in PROVEN_BY_DAY
        else "all",  # of others nobody can say what is missing between two dates
        now,
        (lambda owed, looked: settle(session, owed, looked, now)) if settles else (lambda owed, looked: None),
    )
    known = series_of(session, ask)
    promises = promises_of(session, facts, ask.dataset, interval, ask.instruments)
    for name in ask.instruments:
        wanted = days.of(session, name, known.get(name), promises.get(name, ()))
        chunks, ill = (
            [chunk for one in windows for chunk in cutter.chunks(name, wanted.kind, one.start, one.end)]
            for windows in (wanted.stretches, wanted.ill)
        )
        yield SeriesPlan(wanted, chunks, ill)


def series_of(session: Session, ask: Ask) -> Mapping[str, Series]:
    """Return the series that there are already, by instrument."""
    found = session.scalars(
        select(Series).where(
            Series.provider == ask.provider.facts.name,
            Series.dataset == ask.dataset,
            Series.interval == (ask.interval or ""),
            Series.instrument.in_(ask.instruments),
        )
    )
    return {one.instrument: one for one in found}


def add(found: Plan, one: SeriesPlan) -> None:
    """Add a series to the figures."""
    wanted = one.wanted
    found.days += wanted.whole_days
    found.days_missing += wanted.missing
    found.days_suspect += wanted.suspect
    found.days_verified += wanted.verified
    found.days_unavailable += wanted.unavailable
    for chunk in (*one.chunks, *one.ill):
        found.jobs += 1
        found.requests += chunk.requests
        found.weight += chunk.weight
    if found.rows is not None:
        found.rows += sum(window.rows for window in (*wanted.stretches, *wanted.ill))


def complete(session: Session, config: Settings, ask: Ask, found: Plan, now: datetime) -> None:
    """Add what follows from the counts: rows where only the stored ones tell, disk, time."""
    if found.rows is None:
        found.rows = _rows_by_the_day(session, ask, found)
    found.row_bytes, found.is_measured = row_bytes(session, ask.dataset)
    found.cost = cost_now(session, config, ask.provider.facts, ask.dataset, found.requests, found.weight, now)


def cost_now(
    session: Session, config: Settings, facts: Facts, dataset: str, requests: int, weight: int, now: datetime
) -> Cost:
    """Return what so many requests cost at the budget that there is now."""
    keys = keys_of(config, facts)
    terms = terms_of(config, facts, has_key=bool(keys))
    is_paced = config.tickfarm_pace or not config.tickfarm_sandbox_url
    pools = [key.pool for key in keys] or [""]

    def used(limit: Limit) -> int:
        return sum(used_of(session, [(facts.name, pool, limit) for pool in pools], now))

    return cost_of(terms.limits if is_paced else (), dataset, requests, weight, keys=len(pools), used=used)


def row_bytes(session: Session, dataset: Dataset) -> tuple[int, bool]:
    """Return the bytes that a row takes with its index, and whether the tables say so."""
    size = session.execute(_SIZE, {"table": dataset}).one()
    if size.rows is not None and size.rows >= _ENOUGH_ROWS:
        return round(size.bytes / size.rows), True
    return ROW_BYTES.get(dataset, _OTHER_ROW_BYTES), False


def _rows_by_the_day(session: Session, ask: Ask, found: Plan) -> int | None:
    """Return how many rows there would be if every wanted day had as many as those of these series that are stored."""
    ids = [one.id for one in series_of(session, ask).values()]
    average = select(func.avg(LedgerDay.stored)).where(LedgerDay.series_id.in_(ids), LedgerDay.stored > 0)
    a_day = session.scalars(average).one()
    wanted = found.days_missing + (found.days_suspect if ask.mode != "missing" else 0)
    wanted += found.days_verified if ask.mode == "all" else 0
    return None if a_day is None else round(a_day * wanted)
