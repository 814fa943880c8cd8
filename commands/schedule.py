"""The commands about the schedule: what runs when, who says so, and how its last runs went.

A change is taken up by beat within two seconds, without a restart; what is said here wins over beat_schedule.py until
`tickfarm schedule reset`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from commands.terminal import Json, by, err, open_context, out, print_json, wake
from ingest.errors import FixRequest, UnknownName
from ingest.pipeline import pace, schedule_edits
from ingest.pipeline.entries import Entry, in_words
from ingest.pipeline.entry_options import OPTIONS, fields_of
from ingest.pipeline.exchange import limits_now
from ingest.pipeline.runs import KEPT_RUNS, history
from ingest.pipeline.schedule import followed_of, kind_of
from local.shown_schedule import entries_table, entry_row, load_row, loads_table, run_row, runs_table
from tasks.known import lanes, names

schedule = typer.Typer(no_args_is_help=True, help="What runs when: list, add, change, pause, run now, look back.")

Name = Annotated[str, typer.Argument(help="an entry's name, from `tickfarm schedule ls`")]
Task = Annotated[str | None, typer.Option(help="tasks.fetch.binance, ..")]
Every = Annotated[str | None, typer.Option(help="a period: 500ms, 30s, 5m, 1d")]
Cron = Annotated[str | None, typer.Option(help="cron's five fields: '15 6 * * 1-5'")]
Timezone = Annotated[str | None, typer.Option(help="the zone of cron's fields: UTC, America/New_York")]
Offset = Annotated[str | None, typer.Option(help="moves a period's grid: 7s")]
Kwargs = Annotated[str | None, typer.Option(help='the task\'s arguments as JSON: \'{"dataset": "quotes"}\'')]
Lane = Annotated[str | None, typer.Option(help="live, standard, backfill or maintenance")]
Priority = Annotated[int | None, typer.Option(help="1 (first) to 5")]
Expires = Annotated[float | None, typer.Option(help="seconds after which a job nobody began is dropped")]
Timeout = Annotated[float | None, typer.Option(help="seconds a fetch may take")]
Retries = Annotated[int | None, typer.Option(help="failures that are forgiven")]
PerMinute = Annotated[int | None, typer.Option(help="requests a minute its jobs may send together")]
After = Annotated[str | None, typer.Option(help="the entry whose run it waits for; '' for none")]
Overlap = Annotated[bool | None, typer.Option(help="whether a slot is owed while the run before is at work")]
CatchUp = Annotated[str | None, typer.Option(help="missed slots: skip, latest or all")]
CatchUpLimit = Annotated[int | None, typer.Option(help="with `all`, this many at most")]
Window = Annotated[str | None, typer.Option(help="ask for so much before the slot: 1d; '' for the newest rows")]


@schedule.command("ls")
def list_entries(as_json: Json = False) -> None:
    """List the entries: cadence, lane, whose they are, the next slot and the last run."""
    with open_context().sessions() as session:
        rows = [entry_row(view) for view in schedule_edits.views(session, datetime.now(UTC), lanes())]
    if as_json:
        print_json(rows)
    elif rows:
        out.print(entries_table(rows))
    else:
        err.print("no entries yet: beat reads beat_schedule.py when it starts")


@schedule.command("load")
def show_load(as_json: Json = False) -> None:
    """Show what the entries ask of each provider's limits, and the fastest pace of those that ask too much."""
    context, now = open_context(), datetime.now(UTC)
    with context.sessions() as session:
        entries = schedule_edits.active(session, lanes())
        kinds = {kind for entry in entries if (kind := kind_of(entry)) is not None}
        followed = followed_of(session, kinds)
    found = pace.loads(
        entries,
        lambda *kind: followed.get(kind, ()),
        lambda name: limits_now(context, name),
        now,
    )
    slow = pace.too_fast(found, entries)
    if as_json:
        print_json({"loads": [load_row(one) for one in found], "too_fast": [asdict(one) for one in slow]})
        return
    out.print(loads_table(found))
    for one in slow:
        said = f"{one.entry}: every {one.period_s:g}s is too fast; every {one.fastest_s:.0f}s is the fastest that fits"
        err.print(said, soft_wrap=True)


def _add(name: str, fields: dict[str, Any]) -> None:
    given = {field: value for field, value in fields.items() if value is not None}
    with open_context().sessions.begin() as session:
        entry = schedule_edits.add(session, name, given, names(), datetime.now(UTC), by=by())
    _say(name, entry)


def _set(name: str, fields: dict[str, Any]) -> None:
    if not fields:
        accepted = ", ".join(f"--{option.replace('_', '-')}" for option in OPTIONS)
        raise FixRequest(f"nothing to change is given; accepted: {accepted}")
    _change(name, fields)


def _declare(command: str, summary: str, act: Callable[[str, dict[str, Any]], None]) -> None:
    """Declare a command that takes an entry's fields as options."""

    @schedule.command(command, help=summary)
    def run(
        name: Name,
        task: Task = None,
        every: Every = None,
        cron: Cron = None,
        timezone: Timezone = None,
        offset: Offset = None,
        kwargs: Kwargs = None,
        lane: Lane = None,
        priority: Priority = None,
        expires: Expires = None,
        timeout: Timeout = None,
        retries: Retries = None,
        per_minute: PerMinute = None,
        after: After = None,
        overlap: Overlap = None,
        catch_up: CatchUp = None,
        catch_up_limit: CatchUpLimit = None,
        window: Window = None,
    ) -> None:
        act(name, fields_of(locals()))


_declare("add", "Add an entry. It needs a task and a cadence (--every or --cron).", _add)
_declare("set", "Change an entry. What is not named stays as it is.", _set)


@schedule.command("pause")
def pause_entry(name: Name) -> None:
    """Keep an entry from running until it is resumed."""
    _change(name, {"enabled": False})


@schedule.command("resume")
def resume_entry(name: Name) -> None:
    """Let a paused entry run again; what it missed meanwhile is not owed."""
    _change(name, {"enabled": True})


@schedule.command("remove")
def remove_entry(name: Name) -> None:
    """Stop an entry for good; one of the file comes back by `reset` only."""
    with open_context().sessions.begin() as session:
        schedule_edits.remove(session, name, by=by())
    out.print(f"{name} is removed")


@schedule.command("reset")
def reset_entry(name: Name) -> None:
    """Forget what was changed by command: what beat_schedule.py says counts again."""
    with open_context().sessions.begin() as session:
        schedule_edits.reset(session, name, datetime.now(UTC), by=by())
    out.print(f"{name} is as the file has it")


@schedule.command("run")
def run_entry(name: Name) -> None:
    """Owe an entry's work now, paused or not."""
    context = open_context()
    with context.sessions.begin() as session:
        run, count = schedule_edits.run_now(session, name, names(), datetime.now(UTC), by=by())
    out.print(f"{name} runs now: run {run}, {count} job{'s' if count != 1 else ''}")
    wake(context)


@schedule.command("history")
def show_history(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=KEPT_RUNS, help="runs at most")] = 20,
    as_json: Json = False,
) -> None:
    """Show an entry's last runs: when, how long, how many rows, how it ended."""
    with open_context().sessions() as session:
        known = schedule_edits.known(session)
        rows = [run_row(run) for run in history(session, name, limit=limit)]
    if not rows and name not in known:
        raise UnknownName("schedule entry", name, known)
    if as_json:
        print_json(rows)
    elif rows:
        out.print(runs_table(rows))
    else:
        err.print(f"{name} has not run yet")


def _change(name: str, fields: dict[str, Any]) -> None:
    with open_context().sessions.begin() as session:
        entry = schedule_edits.edit(session, name, fields, names(), datetime.now(UTC), by=by())
    _say(name, entry)


def _say(name: str, entry: Entry) -> None:
    spec = entry.spec
    if not spec.enabled:
        out.print(f"{name} is paused")
        return
    following = entry.next_slot(datetime.now(UTC))
    out.print(f"{name}: {in_words(spec)}, lane {spec.lane}, priority {spec.priority}, next at {following:%F %T} UTC")
