"""The `tickfarm` command: reads arguments, calls the pipeline, prints. No logic of its own.

stdout is data, stderr is messages. Exit codes: 0 ok, 1 failed, 2 usage, 3 finished with findings, 4 credentials.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import redis.exceptions
import sqlalchemy.exc
import typer
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.exceptions import OperationalError as BrokerError
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

import local
from celeryconfig import LANES
from ingest import providers
from ingest.errors import FixRequest, TickfarmError
from ingest.market.times import parse_time
from ingest.pipeline import dead_letters, status
from ingest.pipeline.calls import check_call
from ingest.pipeline.context import Context
from ingest.pipeline.follow import check_names, follow, plan_history, unfollow
from ingest.pipeline.workers import wake_leader
from ingest.settings import home, settings
from local.demo import run_demo, status_table
from models import DeadLetter
from tasks import app as celery_app

OK, FAILED, USAGE, FINDINGS = 0, 1, 2, 3
#: `tickfarm fetch` waits this long for its result.
WAIT_S = 90

cli = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help=__doc__)
dead = typer.Typer(no_args_is_help=True, help="Work that was given up: list, show, requeue, discard.")
cli.add_typer(dead, name="dead")
out, err = Console(), Console(stderr=True)

Provider = Annotated[str, typer.Argument(help="a provider's name: `tickfarm providers` lists them")]
Dataset = Annotated[str, typer.Argument(help="bars or quotes")]
Instruments = Annotated[list[str], typer.Argument(help="BTC-USDT, AAPL, BRK.B ..")]
Interval = Annotated[str | None, typer.Option(help="a bar's width: 1m .. 1d")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
LetterId = Annotated[int, typer.Argument(help="the letter's number, from `tickfarm dead ls`")]


@cli.command()
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="leave when the five histories are loaded")] = False,
) -> None:
    """Show the whole farm at work on this machine: no keys, no network. Ctrl-C stops it."""
    raise typer.Exit(run_demo(home(), leave=exit_, out=out))


@cli.command("status")
def show_status(as_json: Json = False) -> None:
    """Show every followed series: rows, newest, age, state."""
    with _context().sessions() as session:
        rows = status.series_status(session, datetime.now(UTC))
    if as_json:
        _print_json([{name: getattr(row, name) for name in row.__slots__} for row in rows])
    elif rows:
        out.print(status_table(rows))
    else:
        err.print("nothing is followed yet: tickfarm follow binance quotes BTC-USDT")


@cli.command("providers")
def list_providers(as_json: Json = False) -> None:
    """List the providers: datasets, intervals, limits, key."""
    facts = [providers.get(name).facts for name in providers.names()]
    rows = [
        {
            "provider": one.name,
            "title": one.title,
            "datasets": list(one.datasets),
            "intervals": list(one.intervals),
            "limits": [f"{limit.amount} {limit.unit} per {limit.per_s} s" for limit in one.limits],
            "key": one.key.env if one.key else None,
            "lifecycle": one.lifecycle,
        }
        for one in facts
    ]
    if as_json:
        _print_json(rows)
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(
            *("\n".join(map(str, cell)) if isinstance(cell, list) else str(cell or "-") for cell in row.values())
        )
    out.print(table)


@cli.command("follow")
def follow_series(
    provider: Provider,
    dataset: Dataset,
    instruments: Instruments,
    interval: Interval = None,
    since: Annotated[str | None, typer.Option(help="owe the history from here on: 2024-01-01")] = None,
) -> None:
    """Keep these series from now on; with --since, load their history too."""
    found = providers.get(provider)
    start = parse_time(since) if since else None
    now = datetime.now(UTC)
    call = check_call(found.facts, {"dataset": dataset, "instruments": instruments, "interval": interval})
    if start is not None and dataset != "bars":
        raise FixRequest(f"--since is for bars: {provider} has no history of {dataset}")
    context = _context()
    with context.sessions.begin() as session:
        names = follow(session, found, call.dataset, instruments, interval=call.interval, since=start, now=now)
        owed = 0
        if start is not None and call.interval is not None:
            owed = plan_history(session, found, names, interval=call.interval, start=start, end=now, now=now)
    wake_leader(context.redis)
    out.print(f"following {len(names)} series of {provider}" + (f"; {owed} history jobs owed" if start else ""))


@cli.command("unfollow")
def unfollow_series(provider: Provider, dataset: Dataset, instruments: Instruments, interval: Interval = None) -> None:
    """Stop keeping these series; what is stored stays."""
    facts = providers.get(provider).facts
    call = check_call(facts, {"dataset": dataset, "instruments": instruments, "interval": interval})
    with _context().sessions.begin() as session:
        count = unfollow(session, facts, call.dataset, instruments, interval=interval)
    out.print(f"{count} series of {provider} are no longer followed")


@cli.command("fetch")
def fetch_now(
    provider: Provider,
    dataset: Dataset,
    instruments: Instruments,
    interval: Interval = None,
    start: Annotated[str | None, typer.Option(help="first moment wanted")] = None,
    end: Annotated[str | None, typer.Option(help="first moment not wanted any more")] = None,
) -> None:
    """Fetch once, through the farm, and print what was stored."""
    found = providers.get(provider)
    kwargs: dict[str, Any] = {
        "dataset": dataset,
        "instruments": instruments,
        "interval": interval,
        "start": start,
        "end": end,
    }
    call = check_call(found.facts, kwargs)
    check_names(found, call.dataset, instruments, interval)
    _context()
    sent = celery_app.send_task(f"tasks.fetch.{provider}", kwargs=kwargs, queue="standard")
    try:
        _print_json(sent.get(timeout=WAIT_S))
    except CeleryTimeoutError:
        _fail(f"no result within {WAIT_S} s; the call goes on as {sent.id}: is a worker of the standard lane running?")


@dead.command("ls")
def list_letters(as_json: Json = False) -> None:
    """List the open dead letters, newest first."""
    with _context().sessions() as session:
        query = select(DeadLetter).where(DeadLetter.state == "open").order_by(DeadLetter.id.desc()).limit(200)
        rows = [_letter(letter) for letter in session.scalars(query)]
    if as_json:
        _print_json(rows)
    elif rows:
        table = Table("id", "at", "task", "error")
        for row in rows:
            table.add_row(
                str(row["id"]), f"{row['at']:%Y-%m-%d %H:%M:%S}", row["task"], row["error"].splitlines()[0][:100]
            )
        out.print(table)
    else:
        err.print("no dead letters")


@dead.command("show")
def show_letter(letter_id: LetterId) -> None:
    """Print a dead letter whole."""
    with _context().sessions() as session:
        letter = session.get(DeadLetter, letter_id)
        if letter is None:
            raise FixRequest(f"letter {letter_id} does not exist; `tickfarm dead ls` lists the open ones")
        _print_json(_letter(letter))


@dead.command("requeue")
def requeue_letter(letter_id: LetterId) -> None:
    """Owe a dead letter's work again."""
    context = _context()
    with context.sessions.begin() as session:
        letter = session.get(DeadLetter, letter_id)
        lane = letter.queue if letter is not None and letter.queue in LANES else "standard"
        job_id = dead_letters.requeue(session, letter_id, lane=lane, now=datetime.now(UTC))
    wake_leader(context.redis)
    out.print(f"letter {letter_id} is owed again as job {job_id}")


@dead.command("discard")
def discard_letter(letter_id: LetterId) -> None:
    """Close a dead letter for good."""
    with _context().sessions.begin() as session:
        dead_letters.discard(session, letter_id)
    out.print(f"letter {letter_id} is discarded")


def _letter(letter: DeadLetter) -> dict[str, Any]:
    return {column: getattr(letter, column) for column in DeadLetter.__table__.columns.keys()}  # noqa: SIM118


def _context() -> Context:
    return Context(settings(), name="tickfarm cli")


def _print_json(document: object) -> None:
    print(json.dumps(document, default=str, indent=2))


def _fail(message: str, code: int = FAILED) -> NoReturn:
    err.print(message, highlight=False, markup=False, soft_wrap=True)
    sys.exit(code)


def main() -> None:
    """Run the command; turn every expected error into one line and an exit code."""
    try:
        cli()
    except local.Refused as error:
        _fail(str(error))
    except FixRequest as error:
        _fail(str(error), USAGE)
    except TickfarmError as error:
        _fail(str(error))
    except sqlalchemy.exc.OperationalError as error:
        _fail(f"can't reach PostgreSQL (DATABASE_URL): {str(error.orig).splitlines()[0]}")
    except (redis.exceptions.RedisError, BrokerError) as error:
        _fail(f"can't reach Redis (REDIS_URL): {error}")


if __name__ == "__main__":
    main()
