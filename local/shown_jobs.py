"""What a person sees of jobs and of retention: one table each.

Deliberately not here: what is asked of the database, and what other groups of commands show (shown.py and its like).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rich.table import Table

from ingest.pipeline.retention_tally import Tally

_ERROR_LETTERS = 60


def jobs_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of jobs; of an error the beginning of its first line."""
    table = Table("id", "state", "lane", "task", "about", "due", "attempt", "error", box=None, pad_edge=False)
    for row in rows:
        error = (str(row["error"] or "").splitlines() or [""])[0][:_ERROR_LETTERS]
        task = str(row["task"]).removeprefix("tasks.")
        about = _about(row["kwargs"])
        table.add_row(
            str(row["id"]), row["state"], row["lane"], task, about, _moment(row["due_at"]), str(row["attempt"]), error
        )
    return table


def job_table(job: Mapping[str, Any]) -> Table:
    """Return one job's row as a table of two columns."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in job.items():
        if value is not None:
            table.add_row(name, _moment(value) if isinstance(value, datetime) else str(value))
    return table


def fetches_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of a job's fetches."""
    table = Table("fetched at", "attempt", "requests", "failed", "ms", "outcome", "error", box=None, pad_edge=False)
    for row in rows:
        counts = (str(row[name]) for name in ("attempt", "requests", "failed", "duration_ms"))
        table.add_row(_moment(row["at"]), *counts, row["outcome"], str(row["error"] or "")[:_ERROR_LETTERS])
    return table


def failures_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the table of a job's failed requests."""
    table = Table("attempt", "status", "cause", "ms", "request", "error", box=None, pad_edge=False)
    for row in rows:
        counts = (str(row["attempt"]), str(row["status"] or "-"), row["cause"], str(row["duration_ms"]))
        table.add_row(*counts, row["base_url"] + row["url"], str(row["error"] or "")[:_ERROR_LETTERS])
    return table


def retention_table(tallies: Iterable[Tally]) -> Table:
    """Return the table of what is kept how long, what went (or would go), and what stayed though it is old."""
    table = Table("what", "kept", "rows", "days", "partitions", "files", "stays all the same", box=None, pad_edge=False)
    for column in table.columns[2:6]:
        column.justify = "right"
    for one in tallies:
        kept = f"{one.keep_days} days" if one.keep_days else "for ever"
        counts = (f"{count:,}" if count else "-" for count in (one.rows, one.days, one.partitions, one.segments))
        table.add_row(
            one.what, "the newest of each entry" if one.what == "schedule_runs" else kept, *counts, _held(one)
        )
    return table


def _held(tally: Tally) -> str:
    """Say what is old and stays, and that there was not the time for everything."""
    parts = []
    if tally.held and tally.what == "archive":
        parts.append(f"{tally.held:,} files that findings, open jobs or unverified days refer to")
    elif tally.held:
        parts.append(f"{tally.held:,} series-days that are not verified ({tally.held_rows:,} rows)")
    if not tally.is_complete:
        parts.append("not finished: the next run goes on")
    return "; ".join(parts)


def _about(kwargs: Mapping[str, Any]) -> str:
    """Return what a call is about in few words."""
    instruments = kwargs.get("instruments") or ()
    names = ", ".join(str(one) for one in instruments[:3]) + (", .." if len(instruments) > 3 else "")
    words = (kwargs.get("dataset"), names, kwargs.get("interval"), kwargs.get("start"))
    return " ".join(str(word) for word in words if word)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
