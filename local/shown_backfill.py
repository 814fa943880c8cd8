"""What a person sees of backfills: what one would take, how far they are.

Deliberately not here: what is asked of the database (ingest/pipeline/backfill_plan.py, backfill_status.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table

from ingest.pipeline.backfill_plan import Plan
from ingest.pipeline.backfill_status import Progress

_BAR_WIDTH = 24


def plan_table(found: Plan) -> Table:
    """Return what it would take, a line each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in _lines(found):
        table.add_row(name, value)
    return table


def progress_table(orders: Iterable[Progress]) -> Table:
    """Return the orders, a line each."""
    table = Table("id", "what", "from", "to", "state", "jobs", "done", "", "days proven", "left", box=None)
    for one in orders:
        names = one.instruments[0] + (f" +{len(one.instruments) - 1}" if len(one.instruments) > 1 else "")
        table.add_row(
            str(one.id),
            " ".join(filter(None, (one.provider, one.dataset, one.interval, names))),
            f"{one.start:%Y-%m-%d}",
            f"{one.end:%Y-%m-%d}",
            one.state,
            f"{one.jobs:,}",
            f"{one.percent:.1f} %",
            ProgressBar(total=100, completed=one.percent, width=_BAR_WIDTH),
            f"{one.days_verified:,} of {one.days:,}",
            _left(one),
        )
    return table


def progress_lines(one: Progress) -> Group:
    """Return one order, with its bar and what is left of it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("backfill", f"{one.id}, {one.mode}, ordered by {one.ordered_by} {one.created_at:%Y-%m-%d %H:%M}")
    table.add_row("series", " ".join(filter(None, (one.provider, one.dataset, one.interval, *one.instruments))))
    table.add_row("window", f"{one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M}")
    table.add_row("state", one.state)
    jobs = f"{one.jobs:,}, {one.left:,} left, {one.running:,} running, {one.dead:,} dead, {one.cancelled:,} cancelled"
    table.add_row("jobs", jobs)
    table.add_row("days", f"{one.days_verified:,} of {one.days:,} proven, {one.rows_stored:,} rows")
    table.add_row("left", _left(one))
    table.add_row(f"{one.percent:.1f} %", ProgressBar(total=100, completed=one.percent, width=2 * _BAR_WIDTH))
    return Group(table)


def duration(takes: timedelta) -> str:
    """Return a time in two units at most: 3 d 4 h, 2 h 5 min, 45 s."""
    seconds = round(takes.total_seconds())
    for unit, width, smaller, part in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= width:
            return f"{seconds // width} {unit} {seconds % width // part} {smaller}"
    return f"{seconds} s"


def _left(one: Progress) -> str:
    if one.takes is None:
        return "-"
    return f"{duration(one.takes)} " + ("at this pace" if one.is_measured else "by the provider's limits")


def _lines(found: Plan) -> Iterator[tuple[str, str]]:
    least = " at least" if found.is_least else ""
    counts = f"{found.days_missing:,} missing, {found.days_suspect:,} suspect, {found.days_verified:,} verified already"
    yield "days", counts + (f", {found.days_unavailable:,} not to be had" if found.days_unavailable else "")
    yield (
        "jobs",
        f"{found.jobs:,}" + (f", and {found.shared_jobs:,} that are owed already" if found.shared_jobs else ""),
    )
    yield "requests", f"{found.requests:,}{least}, weight {found.weight:,}"
    if found.cost.quota_days:
        yield "quota", f"{found.cost.quota_days:,g} days{least}"
    if found.rows is None:
        yield "rows", "nobody knows before they are there"
    else:
        yield "rows", f"{found.rows:,}{' or so' if found.is_least else ''}"
        source = "as the tables have it" if found.is_measured else "reckoned"
        yield "disk", f"{(found.disk_bytes or 0) / 1e6:,.1f} MB ({found.row_bytes} bytes a row, {source})"
    limit = found.cost.limit
    why = "nothing limits it" if limit is None else f"{limit.amount:,} {limit.unit} in {limit.per_s:,} s"
    yield "time", f"{duration(found.cost.takes)}{least}, by the provider's limits ({why})"
