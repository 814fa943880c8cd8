"""What a person sees of coverage: one table.

Deliberately not here: what is asked of the database (ingest/pipeline/coverage.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from ingest.pipeline.coverage import BEST_EFFORT, SeriesCoverage

_COUNTS = ("gap days", "suspect", "imported", "not to be had")
_RIGHT = ("days", "proven", *_COUNTS)


def coverage_table(found: Sequence[SeriesCoverage]) -> Table:
    """Return the table of coverage, as it comes."""
    table = Table("series", "since", "days", "proven", *_COUNTS, "newest", box=None)
    for column in table.columns:
        if column.header in _RIGHT:
            column.justify = "right"
    for one in found:
        series = " ".join(filter(None, (one.provider, one.dataset, one.instrument, one.interval)))
        share = "best effort" if one.dataset in BEST_EFFORT else f"{one.percent:.2f} %" if one.days else "-"
        newest = "-" if one.newest is None else f"{one.newest:%Y-%m-%d %H:%M:%S}" + (" late" if one.is_late else "")
        counts = (one.gap_days, one.suspect_days, one.imported_days, one.unavailable_days)
        table.add_row(
            series, str(one.first or "-"), f"{one.days:,}", share, *(f"{count or ''}" for count in counts), newest
        )
    return table
