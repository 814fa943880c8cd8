"""Work for a farm: history jobs of the sandbox's Binance bars, and the proof that each minute is stored exactly once.

Invariant: what is expected comes from the sandbox itself, over HTTP, never from the farm's own code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.pipeline.jobs import NewJob, insert_jobs
from tests.tasks.farm import Farm

START = datetime(2025, 3, 1, tzinfo=UTC)
PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "LTC-USDT")
TASK = "tasks.fetch.binance"
#: minutes whose answers are too large to be parsed and stored in one step (1 MiB of klines)
TWO_STEPS = 10_000
#: minutes whose answers are too large to be stored by the fetch itself (64 KiB of klines)
ONE_STEP = 1_000
#: minutes of a job, and the state in which it is seen while it is stored: by its fetch, or by a step of its own
STORED_IN = ((60, "leased"), (ONE_STEP, "fetched"))
_PAGE = 1000
_COLUMNS = ("open", "high", "low", "close", "volume")


def bars_job(key: str, instrument: str, *, start: datetime = START, minutes: int = 60, **fields: Any) -> NewJob:
    """Return a job for a stretch of one-minute bars."""
    end = start + timedelta(minutes=minutes)
    kwargs = {
        "dataset": "bars",
        "instruments": [instrument],
        "interval": "1m",
        "start": start.isoformat(),
        "end": end.isoformat(),
    }
    values: dict[str, Any] = {"task": TASK, "lane": "backfill", "due_at": datetime.now(UTC), "priority": 4, **fields}
    return NewJob(key=key, kwargs=kwargs, **values)


def owe(farm: Farm, *owed: NewJob) -> None:
    """Owe jobs."""
    with farm.context.sessions.begin() as session:
        assert insert_jobs(session, owed) == len(owed)


def owe_bars(
    farm: Farm,
    jobs: int,
    *,
    minutes: int = 100,
    pairs: Sequence[str] = PAIRS,
    tag: str = "load",
    lanes: Sequence[str] = ("backfill", "live"),
    first: int = 0,
) -> int:
    """Owe many small history jobs, in turn for each pair and on each lane; return how many rows they bring.

    `first` numbers the first of them, where others were owed before: theirs are the stretches before it.
    """
    stretch = timedelta(minutes=minutes)
    owe(
        farm,
        *(
            bars_job(
                f"{tag}:{at:05}",
                pairs[at % len(pairs)],
                start=START + at // len(pairs) * stretch,
                minutes=minutes,
                lane=lanes[at % len(lanes)],
            )
            for at in range(first, first + jobs)
        ),
    )
    return jobs * minutes


class Load:
    """History jobs that are topped up while they are worked off, so that there is work for as long as it is needed."""

    def __init__(self, farm: Farm, jobs: int) -> None:
        self._farm = farm
        self.jobs, self.rows = jobs, owe_bars(farm, jobs)

    def top_up(self, jobs: int) -> None:
        """Owe more until so many are due; `jobs` is a multiple of the pairs, so that each has as many stretches."""
        due = self._farm.value("SELECT count(*) FROM jobs WHERE state = 'due'")
        if due < jobs:
            self.rows += owe_bars(self._farm, jobs, first=self.jobs)
            self.jobs += jobs


def check_stored(farm: Farm, rows: int, *, pairs: Sequence[str] = PAIRS) -> None:
    """See that `rows` bars are stored, each minute exactly once, each as the sandbox serves it."""
    assert farm.value("SELECT count(*) FROM bars") == rows
    # The ledger adds up what each store wrote anew: a batch that counted twice shows here, though the key hid it.
    assert farm.value("SELECT sum(stored) FROM ledger") == rows
    assert farm.value("SELECT count(*) FROM revisions") == 0
    for pair in pairs:
        stored = {
            row.ts: tuple(row)[1:]
            for row in farm.rows(
                "SELECT ts, open, high, low, close, volume FROM bars JOIN series ON series.id = series_id "
                "WHERE instrument = :pair AND interval = '1m'",
                pair=pair,
            )
        }
        assert stored == served(farm, pair, rows // len(pairs)), pair


def served(farm: Farm, pair: str, minutes: int) -> dict[datetime, tuple[Decimal, ...]]:
    """Return the sandbox's own bars from START on."""
    found: dict[datetime, tuple[Decimal, ...]] = {}
    at = START
    end = START + timedelta(minutes=minutes)
    while at < end:
        first, last = (int(moment.timestamp() * 1000) for moment in (at, end))
        symbol = pair.replace("-", "")
        path = f"/binance/api/v3/klines?symbol={symbol}&interval=1m&startTime={first}&endTime={last - 1}&limit={_PAGE}"
        answer = farm.sandbox.get(path)
        assert answer.status == 200, answer.data
        for row in json.loads(answer.data, parse_float=str):
            found[datetime.fromtimestamp(row[0] / 1000, UTC)] = tuple(Decimal(cell) for cell in row[1:6])
        at += timedelta(minutes=_PAGE)
    return found


def check_done_once(farm: Farm, jobs: int, rows: int, *, pairs: Sequence[str] = PAIRS, within_s: float = 60) -> None:
    """Clear the faults, wait until every job is done, and see that each was done once: no row missing or twice."""
    farm.sandbox.control("DELETE", "faults")
    farm.all_done(within_s=within_s)
    check_stored(farm, rows, pairs=pairs)
    assert farm.value("SELECT count(*) FROM fetch_log") == jobs
    assert farm.value("SELECT max(lost_leases) FROM jobs") == 0
    assert farm.letters() == []
