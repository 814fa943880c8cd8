"""Take a page of Binance klines apart, so that a fault can alter one row of it.

Deliberately not here: which row is altered and how (`row_faults.py`).
Invariant: a page that is taken apart and put together unchanged is the same bytes.
"""

import re

from sandbox.contract import Page, TimeSpoiling

_ROW = re.compile(r"\[([^\[\]]+)\]")
_DAY_MS = 86_400_000
_PRICES = {"open": 1, "high": 2, "low": 3, "close": 4}


def kline_page(body: bytes) -> Page | None:
    """Return the rows of a kline page, or None for every other body (klines alone are an array of arrays)."""
    text = body.decode()
    if not text.startswith("[["):
        return None
    # No kline cell holds a comma or a bracket, so splitting keeps every cell's very text.
    rows = [row.split(",") for row in _ROW.findall(text)]
    return Page(head="[", rows=rows, tail="]", prices=_PRICES, times=(0, 6), spoil_time=_spoil_time)


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
