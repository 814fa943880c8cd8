"""Take a page of Binance klines or aggregate trades apart, so that a fault can alter one row of it.

Deliberately not here: which row is altered and how (`row_faults.py`).
Invariant: a page that is taken apart and put together unchanged is the same bytes.
"""

import re
from dataclasses import dataclass

from sandbox.contract import Page, TimeSpoiling

_LIST = re.compile(r"\[([^\[\]]+)\]")
_OBJECT = re.compile(r"\{([^{}]+)\}")
_DAY_MS = 86_400_000
_KLINE_PRICES = {"open": 1, "high": 2, "low": 3, "close": 4}


@dataclass(slots=True)
class ObjectPage(Page):
    """A page whose rows are objects: the names of their fields are kept here, in order, and the rows are the values."""

    names: list[str]

    def text(self) -> str:
        pairs = (zip(self.names, row, strict=True) for row in self.rows)
        return self.head + ",".join(f"{{{','.join(map(':'.join, row))}}}" for row in pairs) + self.tail


def page_of(body: bytes) -> Page | None:
    """Return the rows of a page of klines or aggregate trades, or None for every other body."""
    # No cell of either holds a comma, a colon or a bracket, so splitting keeps every cell's very text.
    text = body.decode()
    if text.startswith("[["):
        rows = [row.split(",") for row in _LIST.findall(text)]
        return Page("[", rows, "]", prices=_KLINE_PRICES, times=(0, 6), spoil_time=_spoil_time)
    if text.startswith('[{"a":'):
        cells = [[cell.partition(":") for cell in row.split(",")] for row in _OBJECT.findall(text)]
        names = [name for name, _, _ in cells[0]]
        rows = [[value for _, _, value in row] for row in cells]
        time = names.index('"T"')
        return ObjectPage("[", rows, "]", prices={"price": 1}, times=(time,), spoil_time=_spoil_time, names=names)
    return None


def _spoil_time(how: TimeSpoiling, cell: str, now_s: float) -> str:
    match how:
        case "future":
            return str(int(now_s * 1000) + _DAY_MS)
        case "misaligned":
            return str(int(cell) + 7_000)  # seven seconds off the grid of every interval but 1s
        case "microseconds":
            return f"{cell}000"
        case "seconds":
            return cell[:-3]
