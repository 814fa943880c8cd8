"""Draw a day of the heat-map: colour, glyph, and words for who hears it.

Deliberately not here: the states (ingest/pipeline/heat_map.py). Not a macro of a template, because a page holds 3,000
of them, and Jinja takes eight times as long. Invariant: what comes from data is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from ingest.pipeline.heat_map import Cell, DayState

#: A glyph beside each colour, for who sees none.
GLYPHS: dict[DayState, str] = {
    "complete": "■",
    "in progress": "◔",
    "partial": "◧",
    "missing": "□",
    "suspect": "!",
    "unavailable": "x",
    "closed": "·",
    "not owed": "",
}
_ENDS = {
    state: f'"><span aria-hidden="true">{glyph}</span><span class="hidden">{state}</span></td>'
    for state, glyph in GLYPHS.items()
}
_BEGINNINGS = {state: f'<td class="day {state.replace(" ", "-")}" title="' for state in GLYPHS}


def draw(cells: Sequence[Cell]) -> Markup:
    """Return the table's cells of these days."""
    return Markup("".join(map(_cell, cells)))  # noqa: S704 (a note is escaped, the rest are numbers and our own words)


def _cell(cell: Cell) -> str:
    day, state, expected, stored, note = cell
    rows = "" if stored is None else f", {stored} of {'?' if expected is None else expected} rows"
    more = f": {escape(note)}" if note else ""
    return f"{_BEGINNINGS[state]}{day} {state}{rows}{more}{_ENDS[state]}"
