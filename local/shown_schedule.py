"""The schedule as people see it: the table of entries and the table of an entry's runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

from ingest.pipeline.pace import Load
from ingest.pipeline.schedule_edits import EntryView
from local.provider_page import limit_in_words
from models import ScheduleRun


def entry_row(view: EntryView) -> dict[str, Any]:
    """Return what is told of an entry, in JSON and in the table."""
    return {
        "name": view.name,
        "cadence": view.cadence,
        "state": view.state,
        "owner": view.owner,
        "next_slot": view.next_slot,
        "last_run": None if view.last_run is None else run_row(view.last_run),
        "fields": view.fields,
        "edits": view.edits,
    }


def run_row(run: ScheduleRun) -> dict[str, Any]:
    """Return what is told of a run; `duration_s` is from its slot to its last job's end."""
    ended = run.finished_at
    return {
        "run": run.id,
        "slot": run.slot,
        "by_hand": run.by_hand,
        "outcome": run.outcome or "at work",
        "duration_s": None if ended is None else round((ended - run.slot).total_seconds(), 3),
        "jobs": run.jobs,
        "rows": run.rows,
        "reason": run.reason,
    }


def load_row(load: Load) -> dict[str, Any]:
    """Return what is told of a limit: what the schedule asks of it in its window, on average."""
    return {
        "provider": load.provider,
        "limit": limit_in_words(load.limit),
        "asked": round(load.asked, 3),
        "share": round(load.share, 4),
        "by_entry": {name: round(asked, 3) for name, asked in load.by_entry.items()},
    }


def loads_table(loads: Iterable[Load]) -> Table:
    """Return the table of limits and what is asked of them."""
    table = Table("provider", "limit", "asked", "share", box=None, pad_edge=False)
    for load in loads:
        table.add_row(load.provider, limit_in_words(load.limit), f"{load.asked:,.1f}", f"{load.share:.0%}")
    return table


def entries_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of entries."""
    table = Table("entry", "cadence", "lane", "p", "state", "owner", "next (UTC)", "last run", box=None, pad_edge=False)
    for row in rows:
        fields, last = row["fields"], row["last_run"]
        following = "-" if row["next_slot"] is None else f"{row['next_slot']:%m-%d %H:%M:%S}"
        table.add_row(
            row["name"],
            row["cadence"],
            str(fields.get("lane", "standard")),
            str(fields.get("priority", 3)),
            row["state"],
            row["owner"],
            following,
            "-" if last is None else f"{last['outcome']}, {last['slot']:%m-%d %H:%M:%S}",
        )
    return table


def runs_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of an entry's runs."""
    table = Table("slot (UTC)", "outcome", "seconds", "jobs", "rows", "reason", box=None, pad_edge=False)
    for at in (2, 3, 4):
        table.columns[at].justify = "right"
    for row in rows:
        duration = "-" if row["duration_s"] is None else f"{row['duration_s']:.3f}"
        reason = ("by hand; " if row["by_hand"] else "") + (row["reason"] or "")
        slot = f"{row['slot']:%F %T}"
        table.add_row(slot, row["outcome"], duration, str(row["jobs"]), f"{row['rows']:,}", reason.removesuffix("; "))
    return table
