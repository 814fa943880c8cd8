"""What a person sees of the workers: one line each.

Deliberately not here: what is asked of them (commands/workers.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.table import Table

from ingest.pipeline.workers import Worker


def worker_row(worker: Worker) -> dict[str, Any]:
    """Return what is told of a worker, in JSON and in the table."""
    return {
        "name": worker.name,
        "host": worker.host,
        "lanes": list(worker.lanes),
        "queues": list(worker.queues),
        "children": worker.children,
        "wanted": worker.processes,
        "autoscale": None if worker.autoscale is None else {"max": worker.autoscale[0], "min": worker.autoscale[1]},
        "busy": worker.busy,
        "held": worker.held,
        "draining": worker.draining,
        "since": datetime.fromtimestamp(worker.since, UTC),
    }


def workers_table(rows: Iterable[dict[str, Any]]) -> Table:
    """Return the table of workers."""
    table = Table("worker", "lanes", "children", "busy", "state", "host", "since", box=None, pad_edge=False)
    table.columns[2].justify = table.columns[3].justify = "right"
    for row in rows:
        since = f"{row['since']:%Y-%m-%d %H:%M:%S}"
        lanes = " ".join(row["lanes"])
        table.add_row(row["name"], lanes, _children(row), str(row["busy"]), _state(row), row["host"], since)
    return table


def _children(row: dict[str, Any]) -> str:
    if row["autoscale"] is not None:
        return f"{row['children']} ({row['autoscale']['min']} to {row['autoscale']['max']})"
    return str(row["children"]) if row["children"] == row["wanted"] else f"{row['children']} of {row['wanted']}"


def _state(row: dict[str, Any]) -> str:
    if not row["draining"]:
        return "serves"
    return f"draining, {row['held']} left" if row["held"] else "drained"
