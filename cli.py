"""The `tickfarm` command: reads arguments, calls the pipeline, prints. No logic of its own.

stdout is data, stderr is messages. Exit codes: 0 ok, 1 failed, 2 usage, 3 finished with findings, 4 credentials.
Invariant: arguments are checked before anything is written or sent, and a foreseen error is one line, no traceback.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import typer
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import RedisError
from sqlalchemy import select

from ingest import providers
from ingest.errors import BadData, FixRequest, SlowDown, TryAgain
from ingest.market.times import parse_time
from ingest.pipeline import dead_letters, status, workers
from ingest.pipeline.calls import check_call
from ingest.pipeline.context import Context
from ingest.pipeline.follow import check_names, follow, plan_history, unfollow
from ingest.pipeline.instruments import check_listed
from ingest.providers.contract import Provider as ProviderFile
from ingest.settings import home, settings
from local.demo import run_demo
from local.shown import console, letters_table, one_line, plain, provider_row, providers_table, status_table
from models import DeadLetter
from tasks import app as celery_app

OK, FAILED, USAGE, FINDINGS = 0, 1, 2, 3
#: `tickfarm fetch` waits this long for its result.
WAIT_S = 90
LANE = "standard"

_HELP = """Keep PostgreSQL full of market data.

Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 finished with findings."""
cli = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help=_HELP)
dead = typer.Typer(no_args_is_help=True, help="Work that was given up: list, show, requeue, discard.")
cli.add_typer(dead, name="dead")
out, err = console(), console(stderr=True)

Provider = Annotated[str, typer.Argument(help="a provider's name: `tickfarm providers` lists them")]
Dataset = Annotated[str, typer.Argument(help="bars or quotes")]
Instruments = Annotated[list[str], typer.Argument(help="BTC-USDT, AAPL, BRK.B ..")]
Interval = Annotated[str | None, typer.Option(help="a bar's width: 1m .. 1d")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
LetterId = Annotated[int, typer.Argument(min=1, max=2**63 - 1, help="the letter's number, from `tickfarm dead ls`")]


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
    rows = [provider_row(providers.get(name).facts) for name in providers.names()]
    if as_json:
        _print_json(rows)
    else:
        out.print(providers_table(rows))


@cli.command("follow")
def follow_series(
    provider: Provider,
    dataset: Dataset,
    instruments: Instruments,
    interval: Interval = None,
    since: Annotated[str | None, typer.Option(help="owe the history from here on: 2024-01-01")] = None,
) -> None:
    """Keep these series from now on; with --since, load their history too."""
    found, now = providers.get(provider), datetime.now(UTC)
    call = check_call(found.facts, {"dataset": dataset, "instruments": instruments, "interval": interval})
    start = parse_time(since) if since is not None else None
    if start is not None and dataset != "bars":
        raise FixRequest(f"--since is for bars: {provider} has no history of {dataset}")
    if start is not None and start >= now:
        raise FixRequest(f"--since must lie in the past, given: {since}")
    context = _context()
    _check_listed(context, found, check_names(found, call.dataset, instruments, interval))
    with context.sessions.begin() as session:
        names = follow(session, found, call.dataset, instruments, interval=call.interval, since=start, now=now)
        owed = 0
        if start is not None and call.interval is not None:
            owed = plan_history(session, found, names, interval=call.interval, start=start, end=now, now=now)
    out.print(f"following {len(names)} series of {provider}" + (f"; {owed} history jobs owed" if start else ""))
    _wake(context)


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
    kwargs: dict[str, Any] = {"dataset": dataset, "instruments": instruments, "interval": interval}
    kwargs |= {"start": start, "end": end}
    call = check_call(found.facts, kwargs)
    check_names(found, call.dataset, instruments, interval)
    if not workers.processes_by_lane(_context().redis)[LANE]:
        _fail(f"no worker serves the {LANE} lane: start the farm first, for example with `tickfarm demo`")
    sent = celery_app.send_task(f"tasks.fetch.{provider}", kwargs=kwargs, queue=LANE)
    try:
        result = sent.get(timeout=WAIT_S)
    except CeleryTimeoutError:
        _fail(f"no result within {WAIT_S} s; the call goes on as {sent.id}")
    _print_json(result)
    if result.get("state") != "done":
        _fail(f"nothing is stored yet: {result.get('state')} ({result.get('reason')})")
    raise typer.Exit(FINDINGS if result.get("findings") else OK)


@dead.command("ls")
def list_letters(as_json: Json = False) -> None:
    """List the open dead letters, newest first."""
    with _context().sessions() as session:
        query = select(DeadLetter).where(DeadLetter.state == "open").order_by(DeadLetter.id.desc()).limit(200)
        rows = [_letter(letter) for letter in session.scalars(query)]
    if as_json:
        _print_json(rows)
    elif rows:
        out.print(letters_table(rows))
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
    queues = {queue.name for queue in celery_app.conf.task_queues}
    with context.sessions.begin() as session:
        letter = session.get(DeadLetter, letter_id)
        queue = letter.queue if letter is not None and letter.queue in queues else None
        lane = (queue or LANE).removesuffix(".load")
        job_id = dead_letters.requeue(session, letter_id, lane=lane, now=datetime.now(UTC))
    out.print(f"letter {letter_id} is owed again as job {job_id}")
    _wake(context)


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


def _check_listed(context: Context, provider: ProviderFile, names: list[str]) -> None:
    """Refuse a name that the provider does not list. If it can't be asked now, the farm will find out."""
    try:
        check_listed(context, provider, names)
    except (TryAgain, SlowDown, BadData, RedisError) as error:
        err.print(f"the names are not checked: {error}", soft_wrap=True)


def _wake(context: Context) -> None:
    """Wake the leader. It looks by itself every second, so without Redis the work is only later, not lost."""
    try:
        workers.wake_leader(context.redis)
    except (RedisError, FixRequest) as error:
        err.print(f"it begins when Redis can be reached: {error}", soft_wrap=True)


def _print_json(document: object) -> None:
    """Print JSON: moments in ISO 8601, exact decimals as strings."""
    print(json.dumps(document, default=plain, indent=2))


def _fail(message: str, code: int = FAILED) -> NoReturn:
    err.print(message, soft_wrap=True)
    sys.exit(code)


def main() -> None:
    """Run the command; turn every expected error into one line and an exit code."""
    try:
        cli(prog_name="tickfarm")
    except BrokerError as error:
        _fail(f"can't reach Redis (REDIS_URL): {error}")
    except Exception as error:
        foreseen = one_line(error)
        if foreseen is None:
            raise
        _fail(*foreseen)


if __name__ == "__main__":
    main()
