"""What a person sees of gaps: one table.

Deliberately not here: what is asked of the database (ingest/pipeline/gaps.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table

from ingest.pipeline.gaps_listed import Gap


def gaps_table(found: Sequence[Gap], now: datetime) -> Table:
    """Return the table of gaps, as they come. A next attempt that may begin any time is `now`."""
    table = Table("series", "from", "to", "rows", "state", "since", "asked", "next", box=None, pad_edge=False)
    for name in ("rows", "asked"):
        next(column for column in table.columns if column.header == name).justify = "right"
    for one in found:
        series = " ".join(filter(None, (one.provider, one.dataset, one.instrument, one.interval)))
        following = "now" if one.next_at is None or one.next_at <= now else _moment(one.next_at)
        stretch = (_moment(one.start), _moment(one.end), f"{one.rows:,}" if one.rows else "?")
        table.add_row(series, *stretch, one.state, _moment(one.since), str(one.attempts), following)
    return table


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
