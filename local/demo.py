"""The demo: a farm against the sandbox, five real histories and a few live pairs, shown as it fills.

Deliberately not here: how a farm starts (start.py) and what it does (ingest). Invariant: what is called complete was
counted in the table and compared with what the sandbox says it has.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ingest import providers
from ingest.market.records import Dataset
from ingest.pipeline import status
from ingest.pipeline.context import Context
from ingest.pipeline.follow import follow, plan_history
from ingest.pipeline.status import SeriesStatus
from ingest.pipeline.workers import wake_leader
from ingest.settings import Settings
from local.shown import status_table
from local.start import Farm, farm

OK, INCOMPLETE, INTERRUPTED = 0, 3, 130
HISTORY = ("nasdaq_data_link", ("AAPL", "FB", "GOOG", "IBM", "MSFT"), "1d", datetime(2000, 1, 1, tzinfo=UTC))
PAIRS = {
    "binance": ("BTC-USDT", "ETH-USDT", "SOL-USDT"),
    "coinbase": ("BTC-USD", "ETH-USD"),
    "kraken": ("BTC-USD", "ETH-USD"),
    "bitfinex": ("BTC-USD", "ETH-USD"),
}
#: One of each kind of data and provider beside the exchanges', with what their free plans allow.
OTHERS: tuple[tuple[str, Dataset, str | None, tuple[str, ...]], ...] = (
    ("yahoo", "quotes", None, ("AAPL", "EUR-USD")),
    ("yahoo", "actions", None, ("AAPL",)),
    ("finnhub", "quotes", None, ("AAPL", "MSFT")),
    ("alpha_vantage", "news", None, ("AAPL",)),
    ("alpha_vantage", "observations", None, ("CPI",)),
    ("newsapi", "news", None, ("BITCOIN",)),
    ("marketstack", "bars", "1d", ("TSCO.LON",)),
    ("fmp", "quotes", None, ("AAPL",)),
    ("polygon", "bars", "1d", ("AAPL",)),
    ("polygon", "news", None, ("AAPL",)),
    ("fred", "observations", None, ("UNRATE",)),
    ("frankfurter", "observations", None, ("EUR-USD",)),
    ("gdelt", "news", None, ("BITCOIN",)),
    ("x", "posts", None, ("AAPL",)),
)
LIVE: tuple[tuple[Dataset, str | None], ...] = (("quotes", None), ("bars", "1m"), ("trades", None), ("books", None))
#: What is not there by now is called incomplete.
PATIENCE_S = 180.0
_LOOK_EVERY_S = 0.5


def run_demo(home: Path, *, leave: bool, out: Console) -> int:
    """Run the demo until Ctrl-C, or until everything ordered is there if `leave`. Return the exit code."""
    began = time.monotonic()
    code = INTERRUPTED
    try:
        out.print("starting PostgreSQL, Valkey, workers, beat, Flower, dashboard and the sandbox ..")
        with farm(home, sandbox=True) as running, closing(Context(Settings(), name="tickfarm demo")) as context:
            try:
                _order(context)
                code = _load(running, context, out, began)
                _show(running, context, out)
                if not leave:
                    _stay(running, out)
            except KeyboardInterrupt:
                out.print("stopping ..")
    except KeyboardInterrupt:  # while it was starting
        out.print("stopped")
    return code


def _order(context: Context) -> None:
    """Follow the series and owe their histories. Done again, it owes nothing twice.

    Of the live ones nothing is owed from before: by itself the farm would load a year of minutes.
    """
    now = datetime.now(UTC)
    with context.sessions.begin() as session:
        name, tickers, interval, since = HISTORY
        provider = providers.get(name)
        follow(session, provider, "bars", tickers, interval=interval, since=since, now=now)
        plan_history(session, provider, tickers, interval=interval, start=since, end=now, now=now)
        for (exchange, pairs), (dataset, live_interval) in product(PAIRS.items(), LIVE):
            follow(session, providers.get(exchange), dataset, pairs, interval=live_interval, since=now, now=now)
        for other, dataset, its_interval, names in OTHERS:
            follow(session, providers.get(other), dataset, names, interval=its_interval, since=now, now=now)
    wake_leader(context.redis)


def _load(running: Farm, context: Context, out: Console, began: float) -> int:
    """Show the histories load; return 0 when every row the sandbox has is stored and live data flow, else 3."""
    columns = (TextColumn("loading {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    truth: dict[str, int] = {}
    deadline = time.monotonic() + PATIENCE_S
    with Progress(*columns, console=out) as progress:
        bar = progress.add_task("5 real histories (rows)", total=None)
        while True:
            _tell(running, out)
            truth = truth or _truth(running)
            with context.sessions() as session:
                done, total = status.history_progress(session)  # first: what is over by then is counted below
                stored = status.count_bars(session, HISTORY[0], HISTORY[2])
                rows = status.series_status(session, datetime.now(UTC))
            have = {ticker: stored.get(ticker, 0) for ticker in truth}
            progress.update(bar, completed=sum(have.values()), total=sum(truth.values()) or None)
            silent = [row for row in rows if _is_silent(row)]
            if (truth and done == total and not silent) or time.monotonic() > deadline:
                break
            time.sleep(_LOOK_EVERY_S)
    for ticker in (one for one in truth if have[one] != truth[one]):
        out.print(f"incomplete: {ticker} has {have[ticker]:,} of {truth[ticker]:,} rows")
    for row in silent:
        out.print(f"incomplete: {row.provider} {row.dataset} {row.instrument} is {row.state}")
    if not truth or have != truth or silent:
        return INCOMPLETE
    in_s = time.monotonic() - began
    out.print(f"complete: {sum(have.values()):,} daily bars, every one the source has, {in_s:.0f} s after the start")
    return OK


def _is_silent(row: SeriesStatus) -> bool:
    """Say whether a series that was ordered has brought nothing yet, or, of an exchange, nothing new."""
    kind = (row.dataset, row.interval)
    if row.instrument in PAIRS.get(row.provider, ()):
        return kind in {(dataset, interval or "") for dataset, interval in LIVE} and row.state != "current"
    ours = {(who, dataset, interval or "", name) for who, dataset, interval, names in OTHERS for name in names}
    return (row.provider, *kind, row.instrument) in ours and not row.rows


def _tell(running: Farm, out: Console) -> None:
    """Let the supervisor look after its processes, and say what happened."""
    for sentence in running.poll():
        out.print(sentence, soft_wrap=True)


def _truth(running: Farm) -> dict[str, int]:
    """Ask the sandbox how many rows it has of each ticker; nothing while it is still starting."""
    try:
        answer = requests.get(f"{running.sandbox_url}/sandbox/truth/{HISTORY[0]}", timeout=2)
        return {ticker: int(entry["rows"]) for ticker, entry in answer.json().items()}
    except (requests.RequestException, ValueError):
        return {}


def _show(running: Farm, context: Context, out: Console) -> None:
    with context.sessions() as session:
        out.print(status_table(status.series_status(session, datetime.now(UTC))))
    password = running.flower_password_file
    out.print(f"\ndashboard  {running.dashboard_url}", soft_wrap=True)
    out.print(f"Flower     {running.flower_url}   user tickfarm, password in {password}", soft_wrap=True)
    out.print(f"sandbox    {running.sandbox_url}/sandbox/health")
    out.print("\ntry, in another terminal:")
    for command in (
        "tickfarm status",
        "tickfarm fetch binance bars BTC-USDT --interval 1h --start 2024-01-01 --end 2024-02-01",
        "celery -A tasks inspect active_queues",
    ):
        out.print(f"  .venv/bin/{command}", soft_wrap=True)


def _stay(running: Farm, out: Console) -> None:
    out.print("\nrunning; Ctrl-C stops everything")
    while True:
        _tell(running, out)
        time.sleep(_LOOK_EVERY_S)
