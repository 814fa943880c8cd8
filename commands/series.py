"""The commands about series: what is kept, and what is asked for now."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import (
    FINDINGS,
    OK,
    Dataset,
    Instruments,
    Interval,
    Json,
    Provider,
    check_listed_names,
    err,
    fail,
    open_context,
    out,
    print_json,
    wake,
)
from ingest import providers
from ingest.errors import FixRequest
from ingest.market.records import DEFAULT_SINCE
from ingest.market.times import parse_time
from ingest.pipeline import status
from ingest.pipeline.calls import WITHOUT_HISTORY, check_call, first_in_reach, reach_in_words
from ingest.pipeline.follow import check_names, follow, plan_history, unfollow
from ingest.pipeline.gaps_lookback import check_since
from ingest.pipeline.instruments import expand, is_pattern
from local.shown import status_table
from tasks.by_hand import fetch_by_hand

series = typer.Typer()


@series.command("status")
def show_status(as_json: Json = False) -> None:
    """Show every followed series: rows, newest, age, state."""
    with open_context().sessions() as session:
        rows = status.series_status(session, datetime.now(UTC))
    if as_json:
        print_json([{name: getattr(row, name) for name in row.__slots__} for row in rows])
    elif rows:
        out.print(status_table(rows))
    else:
        err.print("nothing is followed yet: tickfarm follow binance quotes BTC-USDT")


@series.command("follow")
def follow_series(
    provider: Provider,
    dataset: Dataset,
    instruments: Annotated[list[str] | None, typer.Argument(help="BTC-USDT, AAPL .., patterns like 'BTC-*'")] = None,
    interval: Interval = None,
    since: Annotated[str | None, typer.Option(help="owe the history from here on: 2024-01-01")] = None,
    file: Annotated[Path | None, typer.Option("--from", help="a file of instruments, one a line; # comments")] = None,
) -> None:
    """Keep these series from now on; with --since, load their history too."""
    found, now = providers.get(provider), datetime.now(UTC)
    given = [*(instruments or ()), *(_names_in(file) if file else ())]
    has_patterns = any(map(is_pattern, given))
    plain = () if has_patterns else given
    call = check_call(found.facts, {"dataset": dataset, "instruments": plain, "interval": interval})
    start = parse_time(since) if since is not None else _default_since(call.dataset, now)
    if start is not None and dataset in WITHOUT_HISTORY:
        raise FixRequest(f"--since is for what has a history: {dataset} are only ever seen as they are now")
    if start is not None and start >= now:
        raise FixRequest(f"--since must lie in the past, given: {since}")
    context = open_context()
    if start is not None:
        check_since(context.settings, call.dataset, start, now)
    wanted = check_names(found, call.dataset, expand(context, found, given), interval)
    if not has_patterns:  # else they are from its own list
        check_listed_names(context, found, wanted)
    with context.sessions.begin() as session:
        names = follow(session, found, call.dataset, wanted, interval=call.interval, since=start, now=now)
        owed = 0
        if start is not None:
            owed = plan_history(
                session, found, names, dataset=call.dataset, interval=call.interval, start=start, end=now, now=now
            )
    first = first_in_reach(found.facts, call.dataset, call.interval, now)
    if first is not None and start is not None and start < first:
        err.print(f"{reach_in_words(found.facts, call.dataset, call.interval)} history from {first:%F %R} UTC on")
    out.print(f"following {len(names)} series of {provider}" + (f"; {owed} history jobs owed" if start else ""))
    wake(context)


@series.command("unfollow")
def unfollow_series(provider: Provider, dataset: Dataset, instruments: Instruments, interval: Interval = None) -> None:
    """Stop keeping these series; what is stored stays."""
    facts = providers.get(provider).facts
    call = check_call(facts, {"dataset": dataset, "instruments": instruments, "interval": interval})
    with open_context().sessions.begin() as session:
        count = unfollow(session, facts, call.dataset, instruments, interval=interval)
    out.print(f"{count} series of {provider} are no longer followed")


@series.command("fetch")
def fetch_now(
    provider: Provider,
    dataset: Dataset,
    instruments: Instruments,
    interval: Interval = None,
    start: Annotated[str | None, typer.Option(help="first moment wanted")] = None,
    end: Annotated[str | None, typer.Option(help="first moment not wanted any more")] = None,
) -> None:
    """Fetch once, through the farm, and print what was stored."""
    call = {"dataset": dataset, "instruments": instruments, "interval": interval, "start": start, "end": end}
    result = fetch_by_hand(open_context(), provider, call)
    print_json(result)
    if result.get("state") != "done":
        fail(f"nothing is stored yet: {result.get('state')} ({result.get('reason')})")
    raise typer.Exit(FINDINGS if result.get("findings") else OK)


def _default_since(dataset: str, now: datetime) -> datetime | None:
    """Return where history begins that nobody named: of a statistic, because its polls bring its newest values only."""
    back = DEFAULT_SINCE["observations"]
    return now - back if dataset == "observations" and back is not None else None


def _names_in(file: Path) -> list[str]:
    """Return the names in a file. Raises FixRequest where it can't be read."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FixRequest(f"can't read {file}: {error}") from error
    return [name for name in (line.partition("#")[0].strip() for line in lines) if name]
