"""The demo: a farm against the sandbox, five real histories and a few live pairs, shown as it fills.

Deliberately not here: how a farm starts (start.py) and what it does (ingest). Invariant: what is called complete was
counted in the table and compared with what the sandbox says it has.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ingest import providers
from ingest.market.records import Dataset
from ingest.pipeline import status
from ingest.pipeline.context import Context
from ingest.pipeline.follow import follow, plan_history
from ingest.pipeline.status import SeriesStatus
from ingest.pipeline.workers import wake_leader
from ingest.settings import Settings
from local.start import Farm, farm

OK, INCOMPLETE = 0, 3
HISTORY = ("nasdaq_data_link", ("AAPL", "FB", "GOOG", "IBM", "MSFT"), "1d", datetime(2000, 1, 1, tzinfo=UTC))
PAIRS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
LIVE: tuple[tuple[str, Dataset, str | None], ...] = (("binance", "quotes", None), ("binance", "bars", "1m"))
#: With `--exit`, histories that are not there by now are called incomplete.
PATIENCE_S = 180.0
_LOOK_EVERY_S = 0.5


def run_demo(home: Path, *, leave: bool, out: Console) -> int:
    """Run the demo until Ctrl-C, or until the histories are loaded if `leave`. Return the exit code."""
    out.print("starting PostgreSQL, Valkey, workers, beat, Flower and the sandbox ..")
    with farm(home, sandbox=True) as running:
        context = Context(Settings(), name="tickfarm demo")
        try:
            _order(context)
            code = _load(running, context, out)
            _show(running, context, out)
            if not leave:
                _stay(running, out)
        except KeyboardInterrupt:
            out.print("stopping ..")
            code = OK
        finally:
            context.close()
    return code


def status_table(rows: Iterable[SeriesStatus]) -> Table:
    """Return the table of series that demo and status show."""
    table = Table("series", "rows", "newest", "age", "state", box=None, pad_edge=False)
    table.columns[1].justify = table.columns[3].justify = "right"
    for row in rows:
        name = " ".join(part for part in (row.provider, row.dataset, row.instrument, row.interval) if part)
        newest = "-" if row.newest is None else f"{row.newest:%Y-%m-%d %H:%M:%S}"
        table.add_row(name, f"{row.rows:,}", newest, _age(row.age_s), row.state)
    return table


def _age(age_s: float | None) -> str:
    if age_s is None:
        return "-"
    for unit, width in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if age_s >= 2 * width:
            return f"{age_s / width:,.0f} {unit}"
    return f"{age_s:.0f} s"


def _order(context: Context) -> None:
    """Follow the series and owe their histories. Done again, it owes nothing twice."""
    now = datetime.now(UTC)
    with context.sessions.begin() as session:
        name, tickers, interval, since = HISTORY
        provider = providers.get(name)
        follow(session, provider, "bars", tickers, interval=interval, since=since, now=now)
        plan_history(session, provider, tickers, interval=interval, start=since, end=now, now=now)
        for live, dataset, live_interval in LIVE:
            follow(session, providers.get(live), dataset, PAIRS, interval=live_interval, since=None, now=now)
    wake_leader(context.redis)


def _load(running: Farm, context: Context, out: Console) -> int:
    """Show the histories load; return 0 when every row the sandbox has is stored, else 3."""
    truth = _truth(running)
    columns = (TextColumn("loading {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    deadline = time.monotonic() + PATIENCE_S
    with Progress(*columns, console=out) as progress:
        bar = progress.add_task("5 real histories (rows)", total=sum(truth.values()))
        while time.monotonic() < deadline:
            for sentence in running.poll():
                out.print(sentence)
            truth = truth or _truth(running)
            with context.sessions() as session:
                stored = _stored(status.series_status(session, datetime.now(UTC)))
                done, total = status.history_progress(session)
            progress.update(bar, completed=sum(stored.values()), total=sum(truth.values()) or None)
            if done == total and truth:
                break
            time.sleep(_LOOK_EVERY_S)
    missing = {one: (stored.get(one, 0), rows) for one, rows in truth.items() if stored.get(one, 0) != rows}
    for instrument, (have, rows) in missing.items():
        out.print(f"incomplete: {instrument} has {have:,} of {rows:,} rows")
    if truth and not missing:
        out.print(
            f"complete: {sum(stored.values()):,} of {sum(truth.values()):,} daily bars, as many as the source has"
        )
    return OK if truth and not missing else INCOMPLETE


def _truth(running: Farm) -> dict[str, int]:
    """Ask the sandbox how many rows it has of each ticker; nothing while it is still starting."""
    try:
        answer = requests.get(f"{running.sandbox_url}/sandbox/truth/{HISTORY[0]}", timeout=2)
        return {ticker: int(entry["rows"]) for ticker, entry in answer.json().items()}
    except (requests.RequestException, ValueError):
        return {}


def _stored(rows: Iterable[SeriesStatus]) -> dict[str, int]:
    return {row.instrument: row.rows for row in rows if row.provider == HISTORY[0]}


def _show(running: Farm, context: Context, out: Console) -> None:
    with context.sessions() as session:
        out.print(status_table(status.series_status(session, datetime.now(UTC))))
    out.print(f"\nFlower   {running.flower_url}   user tickfarm, password in {running.flower_password_file}")
    out.print(f"sandbox  {running.sandbox_url}/sandbox/health")
    out.print("\ntry, in another terminal:")
    for command in (
        "tickfarm status",
        "tickfarm fetch binance bars BTC-USDT --interval 1h --start 2024-01-01 --end 2024-02-01",
        "celery -A tasks inspect active_queues",
    ):
        out.print(f"  .venv/bin/{command}")


def _stay(running: Farm, out: Console) -> None:
    out.print("\nrunning; Ctrl-C stops everything")
    while True:
        for sentence in running.poll():
            out.print(sentence)
        time.sleep(_LOOK_EVERY_S)
