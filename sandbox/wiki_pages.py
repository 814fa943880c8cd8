"""Take a page of the table WIKI/PRICES apart, so that a fault can alter one row of it.

Deliberately not here: which row is altered and how (`row_faults.py`).
Invariant: a page that is taken apart and put together unchanged is the same bytes.
"""

import json
import re
from datetime import UTC, date, datetime, timedelta

from sandbox.contract import Page, TimeSpoiling

_HEAD = '{"datatable":{"data":['
_TAIL = '],"columns":'
_ROW = re.compile(r"\[([^\[\]]+)\]")
_SATURDAY = 5


def table_page(body: bytes) -> Page | None:
    """Return the rows of a table's page, or None for every other body."""
    text = body.decode()
    end = text.rfind(_TAIL)
    if not text.startswith(_HEAD) or end < 0:
        return None
    columns = [column["name"] for column in json.loads(text[end + len(_TAIL) : text.index("]", end + 1) + 1])]
    # No cell of this table holds a comma or a bracket, so splitting keeps every cell's very text.
    rows = [row.split(",") for row in _ROW.findall(text[len(_HEAD) : end])]
    prices = {name: columns.index(name) for name in ("open", "high", "low", "close") if name in columns}
    times = (columns.index("date"),) if "date" in columns else ()
    return Page(head=_HEAD, rows=rows, tail=text[end:], prices=prices, times=times, spoil_time=_spoil_time)


def _spoil_time(how: TimeSpoiling, cell: str, now_s: float) -> str:
    day = date.fromisoformat(cell.strip('"'))
    seconds = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    match how:
        case "future":
            return f'"{(datetime.fromtimestamp(now_s, UTC) + timedelta(days=366)).date().isoformat()}"'
        case "misaligned":
            return f'"{(day + timedelta(days=_SATURDAY - day.weekday())).isoformat()}"'  # no session on a Saturday
        case "microseconds":
            return str(seconds * 1_000_000)
        case "seconds":
            return str(seconds)
